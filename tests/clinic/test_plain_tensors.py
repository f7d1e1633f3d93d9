"""Weights that are plain tensors are found and made parameters; tables and masks that are meant so are left alone."""

import copy
import math

import pytest
import torch
from net_programs import digits, friedman, mlp, program, waves
from torch import nn

from trainwell import examine
from trainwell.clinic.cures.plain_tensors import plain_tensors, register_tensors
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import plain_tensors as probe_of
from trainwell.clinic.rehearsal import answers
from trainwell.clinic.subject import Subject


class Held(nn.Module):
    """Holds attributes as they are, not registered, and computes ``forward_of(self, x)``."""

    def __init__(self, forward_of, head=None, **held):
        super().__init__()
        self.head, self.forward_of = head, forward_of
        for name, value in held.items():
            setattr(self, name, value)

    def forward(self, x):
        return self.forward_of(self, x)


def filters(net, x):
    return net.head(nn.functional.conv1d(x.transpose(1, 2), net.bank).relu().mean(2))


def chained(net, x):
    for weight in net.weights[:-1]:
        x = (x @ weight).relu()
    return x @ net.weights[-1] + net.head


def looked_up(net, x):
    shop = (4 * x[:, 0]).long().clamp(-10, 9) + 10
    return net.head(torch.cat([net.table[shop], x[:, 1:]], 1))


def mixed(net, x):
    return net.head((x @ net.mixing).tanh())


def placed(net, x):
    return net.head((x @ net.up + net.places)[:, -4:].flatten(1).relu())


def shops(n=900):
    """Which of twenty shops decides how the other column counts."""
    g = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=g)
    sign = torch.randn(20, generator=g).sign()[(4 * x[:, 0]).long().clamp(-10, 9) + 10]
    y = (sign * x[:, 1] > 0).long()
    return (x[:600], y[:600]), (x[600:], y[600:])


def sines(length, width):
    t, k = torch.arange(length)[:, None], torch.arange(width)[None]
    return torch.sin(t / 10 ** (k / width) + (k % 2) * math.pi / 2)


def given(name):
    torch.manual_seed(0)
    if name == "filters":
        return program(
            Held(filters, nn.Linear(2, 2), bank=(0.3 * torch.randn(2, 2, 5)).requires_grad_()), waves(0), lr=1e-2
        )
    if name == "list_of_matrices":
        weights = [(torch.randn(a, b) / a**0.5).requires_grad_() for a, b in ((64, 32), (32, 10))]
        return program(Held(chained, nn.Parameter(torch.zeros(10)), weights=weights), digits(0))
    if name == "table":
        return program(Held(looked_up, mlp(4, 8, 2), table=torch.randn(20, 2)), shops(), lr=1e-2)
    if name == "small_mixing":
        return program(Held(mixed, nn.Linear(4, 10), mixing=torch.randn(64, 4) / 8), digits(0), lr=3e-2)
    if name == "fourier_features":
        return program(Held(mixed, nn.Linear(256, 10), mixing=torch.randn(64, 256) / 8), digits(0), lr=1e-2)
    if name == "class_weights_and_mask":
        held = {"weights": torch.rand(10), "mask": (torch.rand(64) > 0.1).float(), "mean": torch.zeros(64)}
        return program(Held(lambda net, x: net.head(x * net.mask - net.mean) * net.weights, mlp(64, 32, 10), **held),
                       digits(0))  # fmt: skip
    if name == "sines":
        (x, y), val = waves(0)
        model = Held(placed, mlp(32, 16, 2), up=nn.Parameter(torch.randn(2, 8)), places=sines(20, 8))
        return program(model, ((x, y), val))
    if name == "kept_from_the_last_batch":

        def kept(net, x):
            net.code = net.head[0](x).detach()
            return net.head(x)

        return program(Held(kept, mlp(8, 16, 1), code=torch.randn(32, 16)), friedman(0))
    if name == "running_code_book":

        def moving(net, x):
            net.book.mul_(0.9).add_(0.1 * x[:4].detach())
            return net.head(x - 0.01 * net.book.mean(0))

        return program(Held(moving, mlp(8, 16, 1), book=torch.randn(4, 8)), friedman(0))
    model = Held(filters, nn.Linear(6, 2), bank=(0.3 * torch.randn(6, 2, 5)).requires_grad_())
    return program(model, waves(0), optimizer=torch.optim.Adam([*model.parameters(), model.bank], lr=3e-3))


CERTAIN = ["filters", "list_of_matrices", "table"]
SILENT = ["class_weights_and_mask", "sines", "kept_from_the_last_batch", "running_code_book", "given_to_the_optimizer"]


def suspected(name):
    subject = Subject(given(name), Meter(300))
    return subject, list(probe_of.probe(subject))


@pytest.mark.parametrize("name", CERTAIN)
def test_weights_that_no_optimizer_knows_are_found_and_learn_when_registered(name):
    subject, (one,) = suspected(name)
    assert one.code == "parameters-not-in-optimizer" and one.certain and one.loss == 0.1
    cured = subject.cured(one.cures[0])
    assert {n.split(".")[0] for n, _ in cured.program.model.named_parameters()} > {one.where}
    held = {id(p) for group in built(cured.program).param_groups for p in group["params"]}
    assert held == {id(p) for p in cured.program.model.parameters()}
    assert cured.whole.score > subject.whole.score + 0.04


def test_what_may_be_meant_so_is_tried():
    subject, (one,) = suspected("small_mixing")
    assert (one.prior, one.certain) == (0.5, False)
    assert subject.cured(one.cures[0]).whole.score > subject.whole.score + 0.04
    assert [f.code for f in examine(given("small_mixing")).findings if f.severity != "info"] == [one.code]


@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_weight_is_not_suspected(name):
    assert suspected(name)[1] == []


def test_random_features_that_suffice_stay_what_they_are():
    codes = [f.code for f in examine(given("fourier_features")).findings if f.severity != "info"]
    assert "parameters-not-in-optimizer" not in codes


@pytest.mark.parametrize("name", ["filters", "list_of_matrices", "table"])
def test_registering_changes_no_answer(name):
    start, one = given(name), copy.deepcopy(given(name))
    one = register_tensors(list(plain_tensors(one.model))).apply(one)
    assert torch.equal(answers(start.model, start.val[0]), answers(one.model, start.val[0]))
    assert list(plain_tensors(one.model)) == []


def test_a_tensor_at_two_places_becomes_one_parameter_and_a_dict_a_parameter_dict():
    shared = torch.randn(3, 3)
    model = nn.Sequential(Held(None, one=shared), Held(None, two=shared, more={"a": torch.ones(2), "b": torch.ones(2)}))
    one = register_tensors(list(plain_tensors(model))).apply(program(model, digits(0)))
    assert one.model[0].one is one.model[1].two and isinstance(one.model[1].more, nn.ParameterDict)


@pytest.mark.parametrize(
    ("tensor", "drawn"),
    [
        (torch.randn(20, 5, generator=torch.Generator().manual_seed(0)), True),
        (torch.rand(20, 5, generator=torch.Generator().manual_seed(0)) - 0.5, True),
        (torch.rand(20, 5, generator=torch.Generator().manual_seed(0)), False),
        (sines(20, 8), False),
        (torch.ones(6, 6).triu(), False),
        (torch.randn(50, generator=torch.Generator().manual_seed(0)), False),
    ],
)
def test_numbers_drawn_at_random_have_no_mean_and_no_neighbours(tensor, drawn):
    assert probe_of.drawn_at_random(probe_of.Plain("", "x", (tensor,))) is drawn
