"""A zero_grad that leaves the gradients is found before a step is taken, and mended."""

import pytest
import torch
from sick_programs import program
from torch import nn

from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import emptied_gradients
from trainwell.clinic.subject import Subject


class Hoarding(torch.optim.SGD):
    def zero_grad(self, set_to_none=True):
        """Forgotten."""


class Sparing(torch.optim.Adam):
    """Empties the gradients every third time alone, and steps every time."""

    def __init__(self, parameters, **how):
        super().__init__(parameters, **how)
        self.calls = 0

    def zero_grad(self, set_to_none=True):
        self.calls += 1
        if self.calls % 3 == 1:
            super().zero_grad(set_to_none)


class Never(torch.optim.SGD):
    """As :class:`Sparing`, from the second time on never."""

    emptied = False

    def zero_grad(self, set_to_none=True):
        if not self.emptied:
            self.emptied = True
            super().zero_grad(set_to_none)


class Gathering(torch.optim.SGD):
    """Steps every third time with the sum of three gradients, and empties them then."""

    def __init__(self, parameters, **how):
        super().__init__(parameters, **how)
        self.seen, self.done = 0, True

    def step(self, closure=None):
        self.seen += 1
        self.done = self.seen % 3 == 0
        if self.done:
            super().step(closure)

    def zero_grad(self, set_to_none=True):
        if self.done:
            super().zero_grad(set_to_none)


class ToZeros(torch.optim.SGD):
    """Leaves zeros in the place of the gradients."""

    def zero_grad(self, set_to_none=False):
        super().zero_grad(set_to_none=False)


def subject(make):
    return Subject(program(optimizer=make), Meter(300))


def test_gradients_that_stay_are_found_and_the_cure_empties_them():
    given = subject(lambda p: Hoarding(p, lr=0.1))
    (found,) = emptied_gradients.probe(given)
    assert found.code == "stale-gradients" and found.certain
    cured = found.cures[0].apply(given.fresh())
    optimizer = built(cured)
    for p in cured.model.parameters():
        p.grad = torch.ones_like(p)
    optimizer.zero_grad()
    assert all(p.grad is None for p in cured.model.parameters()) and isinstance(optimizer, Hoarding)


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.LBFGS])
def test_torch_s_own_are_not_suspected(make):
    assert list(emptied_gradients.probe(subject(lambda p: make(p, lr=0.1)))) == []


@pytest.mark.parametrize("kind", [Sparing, Never])
@pytest.mark.parametrize("net", [None, nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))])
def test_gradients_that_stay_now_and_then_are_found_too(kind, net):
    given = Subject(program(net=net, optimizer=lambda p: kind(p, lr=0.01)), Meter(300))
    (found,) = emptied_gradients.probe(given)
    assert found.code == "stale-gradients" and found.evidence["tensors"] == len([*given.program.model.parameters()])
    cured = found.cures[0].apply(given.fresh())
    assert list(emptied_gradients.probe(Subject(cured, Meter(300)))) == []
    optimizer = built(cured)
    for _ in range(4):
        for p in cured.model.parameters():
            p.grad = torch.ones_like(p)
        optimizer.step()
        optimizer.zero_grad()
        assert all(p.grad is None for p in cured.model.parameters())


@pytest.mark.parametrize("kind", [Gathering, ToZeros])
def test_gradients_that_are_gathered_or_zeros_are_not_stale(kind):
    assert list(emptied_gradients.probe(subject(lambda p: kind(p, lr=0.01)))) == []


def test_nothing_that_the_probe_does_reaches_the_program():
    made = []

    def make(parameters):
        made.append(Sparing(parameters, lr=0.01))
        return made[-1]

    given = program(optimizer=make)
    before = [p.detach().clone() for p in given.model.parameters()]
    assert list(emptied_gradients.probe(Subject(given, Meter(300))))
    assert all(torch.equal(p, old) and p.grad is None for p, old in zip(given.model.parameters(), before, strict=True))
