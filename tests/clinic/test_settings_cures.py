"""Cures of settings change what the program trains with, also where a schedule has rates of its own."""

import pytest
import torch
from sick_programs import program
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR

from trainwell.clinic.cures.settings import constant_rate, set_field, set_rate, sets_its_own
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.subject import Subject


def rates(program, steps=100):
    optimizer = built(program)
    scheduler = program.scheduler(optimizer) if program.scheduler else None
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if scheduler:
            scheduler.step()
    return torch.tensor(found)


def cycle(optimizer):
    return OneCycleLR(optimizer, 2.0, total_steps=101)


def falling(optimizer):
    return LambdaLR(optimizer, lambda step: 1 / (1 + step))


@pytest.mark.parametrize(("scheduler", "own"), [(cycle, True), (falling, False), (None, False)])
def test_every_rate_of_the_cured_program_is_divided(scheduler, own):
    given = program(rate=0.1, scheduler=scheduler)
    assert sets_its_own(given) == own
    subject = Subject(given, Meter(300))
    cured = set_rate(subject, 0.01).apply(subject.fresh())
    torch.testing.assert_close(rates(cured), rates(given) / 10)


def test_without_its_schedule_the_rate_is_constant():
    subject = Subject(program(rate=0.1, scheduler=falling), Meter(300))
    assert rates(constant_rate(subject).apply(subject.fresh())).tolist() == pytest.approx([0.1] * 100)


def test_a_cure_of_the_batch_knows_how_many_steps_it_makes():
    subject = Subject(program(), Meter(300))
    assert set_field(subject, "batch_size", 5, steps=4).steps == 4 and set_field(subject, "epochs", 9).steps == 1
