"""A zero_grad that leaves the gradients is found before a step is taken, and mended."""

import pytest
import torch
from sick_programs import program

from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import emptied_gradients
from trainwell.clinic.subject import Subject


class Hoarding(torch.optim.SGD):
    def zero_grad(self, set_to_none=True):
        """Forgotten."""


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
