"""A schedule that raises before the training is over is found without a step, and run once over the whole training."""

import numpy as np
import pytest
import torch
from sick_programs import program
from torch import nn
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    LambdaLR,
    OneCycleLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)  # fmt: skip

from trainwell.clinic.crash_words import schedule_ends
from trainwell.clinic.cures.settings import stretch_schedule
from trainwell.clinic.exam import examine
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import built
from trainwell.clinic.probes import crashes
from trainwell.clinic.subject import Subject


def cycle(steps):
    return lambda optimizer: OneCycleLR(optimizer, 0.5, total_steps=steps)


def table(steps):
    rates = np.linspace(1, 0.1, steps + 1)
    return lambda optimizer: LambdaLR(optimizer, lambda step: rates[step])


def rates(made, steps):
    optimizer = built(made)
    scheduler, found = made.scheduler(optimizer), []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(found)


def ends(**changes):
    subject = Subject(program(**changes), Meter(300))  # 100 steps
    return subject, list(schedule_ends(subject))


def normed():
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Linear(8, 3))


@pytest.mark.parametrize(("make", "last"), [(cycle, 40), (cycle, 99), (table, 40), (table, 10)])
@pytest.mark.parametrize("net", [None, normed])
def test_a_schedule_that_ends_early_is_found_and_stretched(make, last, net):
    subject, (found,) = ends(scheduler=make(last), net=net and net())
    after = found.evidence["error"], found.cures[0].changes[0]
    assert (found.code, found.where) == ("program-crashes", "scheduler") and found.certain
    assert f"ends after {last} steps" in found.message and "has 100" in found.message and after[0]
    (cure,) = found.cures
    cured = cure.apply(subject.fresh())
    assert list(schedule_ends(Subject(cured, Meter(300)))) == []
    given, stretched = rates(subject.fresh(), last - 1), rates(cured, 150)
    assert stretched[0] == pytest.approx(given[0]) and len(set(stretched[100:])) == 1  # the last goes on
    assert stretched[:100].max() == pytest.approx(given.max(), rel=0.05)
    assert stretched[:100].mean() == pytest.approx(given.mean(), rel=0.15)


SOUND = {
    "cycle of the right length": cycle(101),
    "longer": cycle(300),
    "steps": lambda optimizer: StepLR(optimizer, 10),
    "cosine": lambda optimizer: CosineAnnealingLR(optimizer, 20),
    "plateau": lambda optimizer: ReduceLROnPlateau(optimizer),
    "two after each other": lambda optimizer: SequentialLR(
        optimizer, [StepLR(optimizer, 5), CosineAnnealingLR(optimizer, 50)], [30]
    ),
    "none": None,
}


@pytest.mark.parametrize("name", SOUND)
def test_schedules_that_last_are_let_be(name):
    assert ends(scheduler=SOUND[name])[1] == []


def test_where_it_ends_at_once_nothing_can_be_stretched():
    def broken(optimizer):
        return LambdaLR(optimizer, lambda step: [1.0, 1.0][step])

    _, (found,) = ends(scheduler=broken)
    assert found.cures == () and "ends after 1 steps" in found.message


def test_a_schedule_that_is_an_instance_is_not_stepped():
    net = normed()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = OneCycleLR(optimizer, 0.5, total_steps=30)
    subject, (found,) = ends(net=net, optimizer=optimizer, scheduler=scheduler)
    assert scheduler.last_epoch == 0
    cured = found.cures[0].apply(subject.fresh())
    assert rates(cured, 100).max() == pytest.approx(0.5, rel=0.02)


def test_stretched_rates_are_the_schedule_s_own_in_between():  # closed form
    subject = Subject(program(scheduler=lambda o: LambdaLR(o, lambda step: 1 - step / 49), rate=0.2), Meter(10))
    cured = stretch_schedule(subject, 50).apply(subject.fresh())
    np.testing.assert_allclose(rates(cured, 100), 0.2 * (1 - np.arange(100) / 99), atol=1e-12)


def test_the_program_as_given_raises_and_the_cured_one_trains():
    given = program(scheduler=cycle(40))
    exam = examine(given)
    assert [f.where for f in exam.findings if f.severity == "error"] == ["scheduler"]
    cured = exam.cure()
    with pytest.raises(ValueError, match="step"):
        rates(given, 100)  # control
    assert len(rates(cured, 100)) == 100 and [*crashes.probe(Subject(cured, Meter(300)))] == []
