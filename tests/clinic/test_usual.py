"""What a rate and a number of steps are compared with."""

import math

import pytest
from sick_programs import program
from torch.optim import SGD, Adam, AdamW, RMSprop
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, StepLR

from trainwell.clinic.meter import Meter
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import mean_rate, peak_rate, rate_lacks, steps_lack, usual_rate


def subject(**changes):
    return Subject(program(**changes), Meter(300))


@pytest.mark.parametrize(
    ("make", "usual"),
    [
        (lambda p: SGD(p, lr=1.0), 0.1),
        (lambda p: SGD(p, lr=1.0, momentum=0.9), 0.01),
        (lambda p: Adam(p, lr=1.0), 1e-3),
        (lambda p: AdamW(p, lr=1.0), 1e-3),
        (lambda p: RMSprop(p, lr=1.0), 1e-3),
    ],
)
def test_the_usual_rate_of_an_optimizer(make, usual):
    found = subject(optimizer=make)
    assert usual_rate(found.optimizer) == pytest.approx(usual)
    assert rate_lacks(found) == pytest.approx(math.log10(usual))


def test_a_schedule_counts_by_its_mean_and_its_peak():
    halved = subject(rate=0.1, scheduler=lambda o: StepLR(o, 50, gamma=0.5))  # 100 steps
    assert halved.steps == 100
    assert mean_rate(halved) == pytest.approx(0.075) and peak_rate(halved) == pytest.approx(0.1)


def test_a_schedule_that_sets_its_own_rate_is_read_as_it_is():
    own = subject(rate=0.1, scheduler=lambda o: OneCycleLR(o, 2.0, total_steps=100))
    assert peak_rate(own) == pytest.approx(2.0, rel=1e-3)
    scaled = subject(rate=0.1, scheduler=lambda o: LambdaLR(o, lambda step: 1.0))
    assert peak_rate(scaled) == pytest.approx(0.1)


def test_steps_are_compared_with_five_hundred():
    assert steps_lack(subject(epochs=50)) == pytest.approx(0)
    assert steps_lack(subject(epochs=5)) == pytest.approx(1)
