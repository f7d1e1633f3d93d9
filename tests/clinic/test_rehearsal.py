"""A training pressed into few steps ends where the whole one does; nothing of the program given is touched."""

import math

import numpy as np
import pytest
import torch
from sick_programs import program
from torch import nn
from torch.testing import assert_close

from trainwell import Program
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import private
from trainwell.clinic.rehearsal import _hurry_statistics, _shorten_memory, compressed, rate_multipliers, rehearse
from trainwell.clinic.sampling import gathered


def run(given, **how):
    meter = Meter(1000)
    parts = (gathered(given.train, given.batch_size), gathered(given.val, given.batch_size))
    return rehearse(private(given), given.guessed_task(), meter, parts=parts, **how), meter


def linear(rate, epochs):
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(64, 4, generator=generator)
    y = X @ torch.randn(4, 1, generator=generator)
    model = nn.Linear(4, 1)
    nn.init.zeros_(model.weight), nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    return Program(model, (X, y), nn.MSELoss(), optimizer, val=(X, y), batch_size=64, epochs=epochs)


def test_few_steps_follow_the_gradient_for_the_same_time():
    given = linear(rate=0.002, epochs=300)
    whole, _ = run(given, steps=300, share=1.0)
    short, meter = run(given, steps=30, share=1.0)
    opening, _ = run(given, steps=30, share=0.0)
    assert short.factor == 10 and whole.factor == 1 and len(short.losses) == 30
    assert short.losses[-1] == pytest.approx(whole.losses[-1], rel=0.05)
    assert opening.losses[-1] > 2 * whole.losses[-1]  # the control: the first steps alone tell something else
    assert 30 < meter.spent < 34


def test_an_opening_is_the_training_itself():
    given = program()
    found, _ = run(given, steps=12, share=0.0, seed=3)
    torch.manual_seed(3)
    model = private(given).model
    optimizer = given.optimizer(model.parameters())
    losses = []
    from trainwell.training.batches import InMemory

    for (x, y), _ in zip(InMemory(given.train, 20, True, 3, torch.device("cpu")).epoch(1), range(10), strict=False):
        optimizer.zero_grad()
        loss = given.loss(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert found.losses[:10] == losses


def test_what_does_not_end_is_no_score():
    found, _ = run(program(rate=1e6), steps=20, share=0.0)
    assert not found.finite and found.score == 0.0 and len(found.losses) < 20
    broken, _ = run(program(net=nn.Linear(5, 3)), steps=20, share=0.0)
    assert "RuntimeError" in broken.error and not broken.finite and broken.losses == []


@pytest.mark.parametrize(
    "schedule",
    [
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40),
        lambda o: torch.optim.lr_scheduler.LambdaLR(o, lambda i: min(1.0, (i + 1) / 10)),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 7, 0.5),
    ],
)
def test_multipliers_are_those_of_the_schedule(schedule):
    given = program(scheduler=schedule)
    optimizer = given.optimizer(given.model.parameters())
    scheduler = schedule(optimizer)
    rates = []
    for _ in range(40):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert_close(torch.tensor(rate_multipliers(given, 40)), torch.tensor(rates, dtype=torch.float64) / 0.05)


def test_a_schedule_that_is_an_instance_is_read_and_not_stepped():
    net = nn.Linear(6, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    given = program(net=net, optimizer=optimizer, scheduler=scheduler)
    assert rate_multipliers(given, 3).tolist() == [1.0, 0.5, 0.25]
    assert scheduler.last_epoch == 0 and optimizer.param_groups[0]["lr"] == 0.1


def test_windows_keep_the_time():
    values = np.linspace(1, 0, 103)
    pressed = compressed(values, 10)
    assert len(pressed) == 10 and pressed.mean() * 103 == pytest.approx(values.sum(), rel=0.01)
    assert compressed(values, 200) is values


def test_looks_are_spread_and_the_last_is_at_the_end():
    found, _ = run(program(), steps=20, share=1.0, looks=4)
    assert [look[0] for look in found.looks] == [5, 10, 15, 20]
    assert found.score == found.looks[-1][2] > 0.8 and math.isfinite(found.norms[-1])


@pytest.mark.parametrize("momentum", [0.99, 0.9995])
def test_a_long_momentum_has_the_same_motion_at_another_pace(momentum):
    def reached(steps, pace):
        w = torch.nn.Parameter(torch.ones(1))
        optimizer = torch.optim.SGD([w], lr=1e-5, momentum=momentum)
        (stretch,) = _shorten_memory(optimizer, pace)
        optimizer.param_groups[0]["lr"] *= pace * stretch
        for _ in range(steps):
            optimizer.zero_grad()
            (0.5 * w.square()).sum().backward()
            optimizer.step()
        return float(w.detach())

    slow, fast = reached(2000, 1.0), reached(400, 5.0)
    assert 1 - slow > 0.01 and fast == pytest.approx(slow, abs=0.05 * (1 - slow))
    if momentum > 0.999:  # control: with the long memory it is somewhere else on its way
        w = torch.nn.Parameter(torch.ones(1))
        plain = torch.optim.SGD([w], lr=5e-5, momentum=momentum)
        for _ in range(400):
            plain.zero_grad()
            (0.5 * w.square()).sum().backward()
            plain.step()
        assert abs(float(w.detach()) - slow) > 0.5


def test_a_short_momentum_stays():
    w = torch.nn.Parameter(torch.ones(1))
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
    assert _shorten_memory(optimizer, 20.0) == [1.0] and optimizer.param_groups[0]["momentum"] == 0.9


@pytest.mark.parametrize("momentum", [0.001, 0.01, 0.1])
@pytest.mark.parametrize("pace", [1.0, 2.0, 7.5, 100.0])
def test_running_statistics_follow_a_faster_training(momentum, pace):  # closed form
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4, momentum=momentum), nn.BatchNorm2d(3, momentum=momentum))
    _hurry_statistics(model, pace)
    for norm in model[1:]:
        assert norm.momentum == pytest.approx(min(0.3, 1 - (1 - momentum) ** pace))


@pytest.mark.parametrize("momentum", [0.0, 0.3, 0.5, 1.0, None])
def test_momenta_above_that_none_and_zero_stay(momentum):
    model = nn.Sequential(nn.BatchNorm1d(4, momentum=momentum), nn.InstanceNorm1d(4, momentum=0.1), nn.LayerNorm(4))
    _hurry_statistics(model, 20.0)
    assert model[0].momentum == momentum and model[1].momentum == 0.1


def test_hurried_statistics_forget_as_much_of_their_start():
    x = torch.randn(64, 4) + 5
    slow, fast = (nn.BatchNorm1d(4, momentum=0.01) for _ in range(2))
    _hurry_statistics(fast, 10.0)
    for norm, steps in ((slow, 100), (fast, 10)):
        for _ in range(steps):
            norm(x)
    assert_close(fast.running_mean, slow.running_mean, rtol=1e-4, atol=1e-5)
    plain = nn.BatchNorm1d(4, momentum=0.01)  # the control
    for _ in range(10):
        plain(x)
    assert float((plain.running_mean - slow.running_mean).abs().min()) > 1


def test_a_rehearsal_hurries_its_own_copy_alone():
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16, momentum=0.02), nn.ReLU(), nn.Linear(16, 3))
    given = program(net=net, epochs=20)
    found, _ = run(given, steps=20, share=1.0)
    assert found.factor == 10 and found.model[1].momentum == pytest.approx(1 - 0.98**10)
    opening, _ = run(given, steps=20, share=0.0)
    assert opening.model[1].momentum == given.model[1].momentum == 0.02
