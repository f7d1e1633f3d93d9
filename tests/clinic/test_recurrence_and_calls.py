"""Steps written by hand without a nonlinearity, the limit of what is linear, and calls that are taken away."""

import copy
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from contract_parts import Functional, curve, digits, mlp
from sick_programs import classes, program
from sklearn.datasets import make_circles
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.activations import bend_steps, leave_out_call
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import nonlinearity
from trainwell.clinic.subject import Subject


class Cell(nn.Module):
    """h ← f(U x + W h), step by step."""

    def __init__(self, bend=None):
        super().__init__()
        self.enter, self.state, self.out = nn.Linear(2, 12), nn.Linear(12, 12), nn.Linear(12, 2)
        self.bend = bend

    def forward(self, x):
        h = x.new_zeros(len(x), 12)
        for t in range(x.shape[1]):
            h = self.enter(x[:, t]) + self.state(h)
            h = h if self.bend is None else self.bend(h)
        return self.out(h)


class Joined(nn.Module):
    """h ← f(W [x, h]), step by step, over input and state in one row."""

    def __init__(self, bend=None):
        super().__init__()
        self.state, self.out, self.bend = nn.Linear(14, 12), nn.Linear(12, 2), bend

    def forward(self, x):
        h = x.new_zeros(len(x), 12)
        for t in range(x.shape[1]):
            h = self.state(torch.cat([x[:, t], h], 1))
            h = h if self.bend is None else self.bend(h)
        return self.out(h)


class Residual(nn.Module):
    """h ← h + f(W h), one layer for all steps."""

    def __init__(self, bend=None):
        super().__init__()
        self.enter, self.state, self.out, self.bend = nn.Linear(2, 12), nn.Linear(12, 12), nn.Linear(12, 2), bend

    def forward(self, x):
        h = self.enter(x[:, 0])
        for _ in range(4):
            h = h + (self.state(h) if self.bend is None else self.bend(self.state(h)))
        return self.out(h)


class Gated(nn.Module):
    """h ← z h + (1 − z) U x, with a gate z = σ(W h)."""

    def __init__(self):
        super().__init__()
        self.enter, self.state, self.out = nn.Linear(2, 12), nn.Linear(12, 12), nn.Linear(12, 2)

    def forward(self, x):
        h = x.new_zeros(len(x), 12)
        for t in range(x.shape[1]):
            gate = self.state(h).sigmoid()
            h = gate * h + (1 - gate) * self.enter(x[:, t])
        return self.out(h)


class Product(nn.Module):
    """Steps that multiply the state with what they read."""

    def __init__(self):
        super().__init__()
        self.enter, self.state, self.out = nn.Linear(2, 12), nn.Linear(12, 12), nn.Linear(12, 2)

    def forward(self, x):
        h = x.new_ones(len(x), 12)
        for t in range(x.shape[1]):
            h = self.state(h) * self.enter(x[:, t])
        return self.out(h)


def turns(n=300, steps=5):
    """Series (N, T, 2) whose class is whether their two sums have one sign."""
    x = torch.randn(n, steps, 2, generator=torch.Generator().manual_seed(0))
    return x, (x.sum(1).prod(1) > 0).long()


def given(net, data=None, **changes):
    x, y = turns() if data is None else data
    cut = 2 * len(x) // 3
    return program(net=net, train=(x[:cut], y[:cut]), val=(x[cut:], y[cut:]), **changes)


def suspected(made):
    subject = Subject(made, Meter(1000))
    return subject, list(nonlinearity.probe(subject))


@pytest.mark.parametrize(("kind", "times"), [(Cell, 5), (Joined, 5), (Residual, 4)])
def test_steps_without_a_nonlinearity_are_found_and_bent(kind, times):
    torch.manual_seed(0)
    subject, (found,) = suspected(given(kind()))
    assert (found.code, found.where) == ("missing-nonlinearity", "state") and found.prior == nonlinearity.ALL_LINEAR
    assert f"called {times} times" in found.message and found.evidence["whole net linear"] is True
    (cure,) = found.cures
    cured = cure.apply(subject.fresh())
    x = torch.randn(3, 5, 2)
    bent = kind().requires_grad_(False)
    bent.load_state_dict(subject.program.model.state_dict())
    plain = bent.state
    bent.state = nn.Sequential(plain, nn.Tanh())
    assert_close(cured.model(x), bent(x))
    assert {n.replace("state.layer.", "state.") for n in cured.model.state_dict()} == {*kind().state_dict()}
    held = {id(p) for group in built(cured).param_groups for p in group["params"]}
    assert held == {id(p) for p in cured.model.parameters()}
    assert suspected(cured)[1] == []


SOUND = {
    "tanh": lambda: Cell(torch.tanh),
    "relu": lambda: Cell(torch.relu),
    "joined with tanh": lambda: Joined(nn.Tanh()),
    "residual with gelu": lambda: Residual(F.gelu),
    "gates": Gated,
    "products": Product,
}


@pytest.mark.parametrize("name", SOUND)
def test_steps_with_one_are_let_be(name):
    torch.manual_seed(0)
    assert suspected(given(SOUND[name]()))[1] == []


def test_the_first_of_them_learns_what_is_not_linear_once_it_is_bent():
    torch.manual_seed(0)
    exam = examine(given(Residual(), (turns()[0][:, :1] * 2, (turns()[0][:, 0].prod(1) > 0).long()), epochs=60))
    assert next(f.code for f in exam.findings if f.severity != "info") == "missing-nonlinearity"


def test_what_is_linear_is_told_from_what_is_only_nearly_so():
    x = turns()

    class Nearly(Cell):
        def forward(self, x):
            return super().forward(x) + 1e-5 * x.sum(1).square()

    for net, linear in ((Cell(), True), (Nearly(), False), (Cell(torch.tanh), False)):
        assert nonlinearity._is_affine(Subject(given(net, x), Meter(100))) is linear
    codes = torch.randint(0, 9, (60, 4)), torch.randint(0, 2, (60,))
    embedded = nn.Sequential(nn.Embedding(9, 2), Cell())
    assert nonlinearity._is_affine(Subject(given(embedded, codes), Meter(100))) is False  # codes cannot be added


def rings():
    x, y = make_circles(400, noise=0.05, factor=0.5, random_state=0)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def test_the_gain_is_what_nonlinear_features_answer_beyond_any_line():
    _, (found,) = suspected(given(nn.Sequential(nn.Linear(2, 16), nn.Linear(16, 2)), rings()))
    line, bent = found.evidence["best linear map"], found.evidence["nonlinear features"]
    assert line < 0.7 and bent > 0.95 and found.gain == pytest.approx(bent - line)
    assert f"{line:.2f}" in found.message and found.cures
    x, y = curve(0, 400)
    _, (found,) = suspected(given(mlp_of_lines(6, 16, 1), (x, y), loss=nn.MSELoss()))
    assert found.gain > 0.04


def mlp_of_lines(*sizes):
    return nn.Sequential(*[nn.Linear(a, b) for a, b in pairwise(sizes)])


def test_where_a_line_is_enough_there_is_no_gain_to_tell():  # controls
    x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
    _, (found,) = suspected(given(mlp_of_lines(6, 16, 1), (x, x[:, :1] - 2), loss=nn.MSELoss()))
    assert found.gain is None and "best linear map" not in found.evidence and found.prior == nonlinearity.ALL_LINEAR
    _, (found,) = suspected(given(mlp_of_lines(6, 3, 6), (x, x), loss=nn.MSELoss()))
    assert found.gain is None  # what the inputs are the targets of
    some = nn.Sequential(nn.Linear(2, 16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 2))
    _, (found,) = suspected(given(some, rings()))
    assert found.gain is None and found.prior == nonlinearity.SOME_LINEAR  # part of it bends


def test_plain_pairs_are_bent_before_those_that_look_meant():
    narrow = (nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 4), nn.Linear(4, 16))
    _, (found,) = suspected(program(net=nn.Sequential(*narrow, nn.Linear(16, 3))))
    assert found.evidence["pairs"] == 4 and [c.target for c in found.cures[0].changes] == [
        "model.0",
        "model.1",
        "model.3",
    ]
    _, (found,) = suspected(program(net=mlp_of_lines(6, 2, 3)))
    assert [c.target for c in found.cures[0].changes] == ["model.0"]  # where nothing else is there
    bent = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 4), nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    assert suspected(program(net=bent))[1] == []  # a map in factors, in a net that bends


class Twice(nn.Module):
    """The last function is called at the end, and the same one before."""

    def __init__(self, end):
        super().__init__()
        self.first, self.second, self.act, self.end = nn.Linear(6, 16), nn.Linear(16, 3), nn.ReLU(), end

    def body(self, x):
        return self.second(F.relu(self.act(self.first(x)) - 0.1))

    def forward(self, x):
        return self.end(self.body(x))


@pytest.mark.parametrize("end", [F.relu, torch.sigmoid, lambda x: x.relu(), lambda x: F.softmax(x, dim=1)])
def test_the_last_call_is_taken_away_and_no_other(end):
    torch.manual_seed(0)
    subject = Subject(program(net=Twice(end)), Meter(100))
    last = [layer for layer in subject.chain.layers if layer.kind == "activation"][-1]
    cured = leave_out_call(subject, last).apply(subject.fresh())
    x = classes()[0]
    given_model = subject.program.model
    assert_close(cured.model(x), given_model.body(x), rtol=0, atol=0)
    assert not torch.allclose(cured.model(x), given_model(x))  # control
    for place in range(3 - 1):  # any other call is another function
        other = leave_out_call(subject, [la for la in subject.chain.layers if la.kind == "activation"][place])
        assert not torch.allclose(other.apply(subject.fresh()).model(x), given_model.body(x))


def test_a_model_without_a_call_can_be_copied_saved_and_trained():
    torch.manual_seed(0)
    subject = Subject(program(net=Twice(torch.sigmoid)), Meter(100))
    last = [layer for layer in subject.chain.layers if layer.kind == "activation"][-1]
    cured = leave_out_call(subject, last).apply(subject.fresh())
    x = classes()[0]
    twin = copy.deepcopy(cured.model)
    assert_close(twin(x), cured.model(x), rtol=0, atol=0)
    with torch.no_grad():
        for p in twin.parameters():
            p.add_(1.0)
    assert not torch.allclose(twin(x), cured.model(x))
    twin.load_state_dict(cured.model.state_dict())
    assert_close(twin(x), cured.model(x), rtol=0, atol=0)
    assert [n.removeprefix("model.") for n in cured.model.state_dict()] == [*subject.program.model.state_dict()]
    F.cross_entropy(cured.model(x), classes()[1]).backward()
    assert all(p.grad is not None and bool(p.grad.any()) for p in cured.model.parameters())
    held = {id(p) for group in built(cured).param_groups for p in group["params"]}
    assert held == {id(p) for p in cured.model.parameters()}
    assert_close(torch.relu(torch.tensor([-1.0])), torch.zeros(1))  # outside of the model all is as it was


def test_the_exam_takes_a_relu_in_front_of_the_loss_away():
    x, y = digits(0)
    torch.manual_seed(0)
    parts = {"train": (x[:600], y[:600]), "val": (x[600:], y[600:])}
    exam = examine(program(net=Functional(mlp(64, 32, 10), F.relu), rate=0.05, **parts))
    (found,) = [f for f in exam.findings if f.severity != "info"]
    assert found.cure.changes[0].before == "ReLU of the output"
    cured, model = exam.cure().model, exam.reasoned.given.program.model
    assert_close(cured(x), model.body(x))


def test_bending_says_what_it_does():
    subject = Subject(given(Cell()), Meter(100))
    (change,) = bend_steps(subject, ["state"]).changes
    assert (change.target, change.after) == ("model.state", "torch.tanh(state(h))")


def test_an_optimizer_that_was_an_instance_keeps_its_groups():
    net = Cell()
    enter, rest = list(net.enter.parameters()), [*net.state.parameters(), *net.out.parameters()]
    optimizer = torch.optim.Adam([{"params": enter, "lr": 0.01}, {"params": rest, "lr": 0.001}])
    subject = Subject(given(net, optimizer=optimizer), Meter(100))
    cured = bend_steps(subject, ["state"]).apply(subject.fresh())
    names = {id(p): name for name, p in cured.model.named_parameters()}
    groups = {group["lr"]: [names[id(p)] for p in group["params"]] for group in built(cured).param_groups}
    assert groups[0.01] == ["enter.weight", "enter.bias"]
    assert groups[0.001] == ["state.layer.weight", "state.layer.bias", "out.weight", "out.bias"]
