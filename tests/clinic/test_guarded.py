"""Functions that leave the numbers are heard where the user calls them, and kept where they are defined."""

import pytest
import torch
from sick_programs import classes, program
from torch import nn
from torch.testing import assert_close

from trainwell.clinic.cures.guarded import Guarded, GuardedCalls
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.probes import fragile_functions
from trainwell.clinic.subject import Subject

ZERO = torch.zeros(2, 3)
EDGES = {
    "log": (lambda x: x.log(), ZERO),
    "log of a negative": (lambda x: x.log(), ZERO - 1),
    "log1p": (torch.log1p, ZERO - 1),
    "sqrt": (torch.sqrt, ZERO),
    "rsqrt": (torch.rsqrt, ZERO),
    "exp": (torch.exp, ZERO + 1000),
    "division": (lambda x: x / x, ZERO),
    "one over": (lambda x: 1 / x.sum(1, keepdim=True) * x, ZERO),
    "deviations": (lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True), ZERO),
    "softmax of nothing": (lambda x: x.softmax(1), torch.full((2, 3), -torch.inf)),
}


@pytest.mark.parametrize("name", EDGES)
def test_values_and_gradients_stay_numbers(name):
    function, x = EDGES[name]
    free = x.clone().requires_grad_()
    plain = function(free)
    (slope,) = torch.autograd.grad(plain.sum(), free)
    assert not bool(plain.isfinite().all() and slope.isfinite().all())  # control
    with GuardedCalls():
        value = function(free)
    (slope,) = torch.autograd.grad(value.sum(), free)
    assert bool(value.isfinite().all() and slope.isfinite().all())


@pytest.mark.parametrize("name", EDGES)
def test_where_they_are_defined_nothing_changes(name):
    function, x = EDGES[name][0], torch.rand(2, 3) + 0.5
    with GuardedCalls():
        assert_close(function(x), function(x), rtol=0, atol=0)
        guarded = function(x)
    assert_close(guarded, function(x), rtol=1e-6, atol=1e-7)


class Sized(nn.Module):
    """Divides by the root of the mean square, which is 0 for a sample of zeros."""

    def __init__(self, floor=0.0):
        super().__init__()
        self.net, self.floor = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3)), floor

    def forward(self, x):
        return self.net(x / (x.square().mean(1, keepdim=True) + self.floor).sqrt())


def with_zeros(floor=0.0):
    X, y = classes()
    X = X.clone()
    X[:200:17] = 0.0
    torch.manual_seed(0)
    return program(net=Sized(floor), train=(X[:200], y[:200]), val=(X[200:], y[200:]))


def test_the_exam_names_and_mends_a_division_by_nothing():
    exam = examine(with_zeros())
    first = exam.findings[0]
    assert first.code == "nonfinite-loss" and first.severity == "error" and "where they are defined" in first.cure.name
    cured = exam.cure().model
    assert isinstance(cured, Guarded) and bool(cured(with_zeros().train[0]).isfinite().all())


def test_healthy_programs_are_not_asked_and_torchs_own_modules_not_heard():
    assert list(fragile_functions.probe(Subject(with_zeros(1e-4), Meter(300)))) == []
    net = nn.Sequential(nn.Linear(6, 16), nn.Softmax(1), nn.Linear(16, 3))
    subject = Subject(program(net=net), Meter(300))
    assert fragile_functions._called(subject) == (frozenset(), frozenset())


def test_a_loss_that_towers_first_is_more_likely_one_of_its_rate():
    subject = Subject(with_zeros(), Meter(300))
    (seen,) = fragile_functions.probe(subject)
    assert seen.prior == 0.9 and "div" in seen.message
    subject.opening.losses[:] = [1.0, 1e6, float("nan")]
    assert [s.prior for s in fragile_functions.probe(subject)] == [0.3]
