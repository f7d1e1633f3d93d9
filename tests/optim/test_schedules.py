import math

import pytest
import torch
from torch import nn

from trainwell.optim import SCHEDULES, schedule
from trainwell.optim.schedules import factor


@pytest.mark.parametrize(
    ("name", "step", "value"),
    [
        ("one-cycle", 0, 1 / 21),  # 20 of 100 steps rise: (step + 1) / (rise + 1)
        ("one-cycle", 9, 10 / 21),
        ("one-cycle", 20, 1.0),
        ("one-cycle", 60, 0.5),  # half of the fall: (1 + cos π/2) / 2
        ("one-cycle", 80, (1 + math.cos(0.75 * math.pi)) / 2),
        ("one-cycle", 100, 0.0),
        ("cosine", 0, 1.0),  # no warm-up
        ("cosine", 25, (1 + math.cos(0.25 * math.pi)) / 2),
        ("cosine", 100, 0.0),
        ("linear", 19, 20 / 21),
        ("linear", 60, 0.5),
        ("linear", 100, 0.0),
        ("constant", 0, 1 / 21),
        ("constant", 20, 1.0),
        ("constant", 100, 1.0),
    ],
)
def test_factor_at_chosen_steps(name, step, value):
    assert factor(name, step, 100, warmup=0.2) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "linear"])
def test_the_last_factor_is_end(name):
    assert factor(name, 100, 100, warmup=0.2, end=0.1) == pytest.approx(0.1, abs=1e-12)
    assert factor(name, 500, 100, warmup=0.2, end=0.1) == pytest.approx(0.1, abs=1e-12)  # and stays there


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 7, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.25, 0.99])
def test_factors_are_positive_before_the_end_rise_then_fall_and_never_exceed_one(name, steps, warmup):
    factors = [factor(name, step, steps, warmup=warmup) for step in range(steps)]
    assert all(0 < f <= 1 for f in factors)
    peak = factors.index(max(factors))
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)


def test_the_optimizers_rate_follows_the_factor():
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    scheduler = schedule(optimizer, "one-cycle", 10, warmup=0.3, end=0.05)
    for step in range(10):
        assert optimizer.param_groups[0]["lr"] == pytest.approx(
            0.5 * factor("one-cycle", step, 10, warmup=0.3, end=0.05)
        )
        optimizer.step()
        scheduler.step()


def test_unknown_schedule_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'onecycle'.*one-cycle, cosine"):
        schedule(torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5), "onecycle", 10)
