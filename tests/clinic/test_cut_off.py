"""Parts whose gradient is cut off are told from parts that are never called, and from those that are meant so."""

import copy

import pytest
import torch
from net_programs import digits, friedman, mlp, program, tokens
from torch import nn

from trainwell import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import cut_off, idle_weights, trainable
from trainwell.clinic.subject import Subject

PROBES = (trainable, idle_weights, cut_off)


class Cut(nn.Module):
    """A body whose output is handed on as ``cut`` says, and a head."""

    def __init__(self, body, head, cut):
        super().__init__()
        self.body, self.head, self.cut = body, head, cut

    def forward(self, x):
        return self.head(self.cut(self.body(x)))


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(20, 12), nn.GRU(12, 12, batch_first=True)

    def forward(self, x):
        return self.rnn(self.embed(x))[0][:, -1]


class Student(nn.Module):
    """A net that is pulled to its teacher's answer, which was never told not to require gradients."""

    def __init__(self):
        super().__init__()
        self.student = mlp(8, 4, 1)
        self.target = copy.deepcopy(self.student)

    def forward(self, x):
        with torch.no_grad():
            calm = self.target(x)
        return self.student(x) + 0.1 * calm


class TwoHeads(nn.Module):
    """The second head is called, and its answer thrown away."""

    def __init__(self):
        super().__init__()
        self.body, self.head, self.aside = mlp(64, 24, 4), nn.Linear(4, 10), mlp(4, 256, 10)

    def forward(self, x):
        h = self.body(x)
        self.aside(h)
        return self.head(h)


def without_gradient(body):
    class Guarded(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = body

        def forward(self, x):
            with torch.no_grad():
                return self.inner(x)

    return Guarded()


def given(name):
    torch.manual_seed(0)
    if name == "detached_code":
        return program(Cut(mlp(64, 32, 3), mlp(3, 32, 10), lambda h: h.detach()), digits(0))
    if name == "new_tensor_of_a_recurrent_net":
        return program(Cut(Mean(), nn.Linear(12, 3), lambda h: torch.tensor(h.tolist())), tokens(0, 16))
    if name == "data_of_a_convolution":
        body = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(3), nn.Flatten(), nn.Linear(8, 4))
        return program(Cut(body, nn.Linear(4, 10), lambda h: h.data), digits(0, images=True), epochs=4)
    if name == "body_under_no_grad":
        return program(Cut(without_gradient(mlp(8, 24, 2)), mlp(2, 8, 1), nn.Identity()), friedman(0))
    if name == "wide_features_that_suffice":
        return program(
            Cut(mlp(64, 900), nn.Linear(900, 10), lambda h: h.detach().relu()), digits(0), lr=1e-2, epochs=30
        )
    if name == "features_not_given_to_the_optimizer":
        model = Cut(mlp(64, 32, 3), mlp(3, 8, 10), lambda h: h.detach())
        return program(model, digits(0), optimizer=torch.optim.Adam(model.head.parameters(), lr=3e-3))
    if name == "teacher":
        return program(Student(), friedman(0), epochs=2)
    return program(TwoHeads(), digits(0), epochs=1)


SICK = ["detached_code", "new_tensor_of_a_recurrent_net", "data_of_a_convolution", "body_under_no_grad"]
MEANT = ["features_not_given_to_the_optimizer", "teacher"]


def suspected(name):
    subject = Subject(given(name), Meter(300))
    found = [one for probe in PROBES for one in probe.probe(subject)]
    assert not subject.unasked
    return found


@pytest.mark.parametrize("name", SICK)
def test_what_is_called_and_gets_no_gradient_is_cut_off(name):
    (one,) = suspected(name)
    assert (one.code, one.certain, one.loss) == ("frozen-parameters", True, 0.1)
    assert "no gradient comes back" in one.message and one.evidence["share of the weights"] >= 0.3


@pytest.mark.parametrize("name", MEANT)
def test_what_is_meant_so_or_does_no_harm_is_told_in_passing(name):
    found = [one for one in suspected(name) if one.code == "frozen-parameters"]
    assert [(one.certain, one.prior) for one in found] == [(False, 0.05)]


def test_features_at_random_that_nearly_do_are_suspected_and_tried():
    (one,) = [one for one in suspected("wide_features_that_suffice") if one.code == "frozen-parameters"]
    assert not one.certain and one.prior == 0.5 and one.cures
    assert examine(given("wide_features_that_suffice")).healthy


def test_what_is_called_for_nothing_is_unused():
    found = suspected("two_heads")
    assert {one.code for one in found} == {"unused-parameters"}
    assert all(one.where.startswith("aside") for one in found)


def test_a_part_may_be_cut_off_and_another_unused():
    torch.manual_seed(0)
    model = Cut(mlp(64, 16, 3), mlp(3, 8, 10), lambda h: h.detach())
    model.spare = nn.Linear(5, 7)
    subject = Subject(program(model, digits(0)), Meter(300))
    assert {name.split(".")[0] for name in trainable.idle(subject)[0]} == {"spare"}
    assert {name.split(".")[0] for name in cut_off.cut_off(subject)} == {"body"}


def test_nothing_is_spent_where_every_parameter_gets_a_gradient():
    subject = Subject(program(mlp(64, 32, 10), digits(0)), Meter(300))
    assert list(cut_off.probe(subject)) == [] and subject.meter.spent == 1.0


def test_a_program_with_dice_of_its_own_is_left_alone():  # control: the loss differs with nothing changed
    draw = torch.Generator().manual_seed(0)

    def noisy(h):
        return h.detach() + torch.randn(h.shape, generator=draw)

    torch.manual_seed(0)
    subject = Subject(program(Cut(mlp(64, 32, 3), mlp(3, 32, 10), noisy), digits(0)), Meter(300))
    assert cut_off.cut_off(subject) == {}


def test_the_exam_names_it_and_leaves_the_program_as_it_was():
    sick = given("detached_code")
    before = copy.deepcopy(sick.model.state_dict())
    first = next(f for f in examine(sick).findings if f.severity != "info")
    assert first.code == "frozen-parameters" and "detach" in first.cure.name
    assert all(torch.equal(value, before[name]) for name, value in sick.model.state_dict().items())
