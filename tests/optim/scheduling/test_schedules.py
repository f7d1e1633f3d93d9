import copy
import io
import math
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler
from torch.testing import assert_close

from trainwell.optim import SCHEDULES, PlateauSchedule, schedule, schedule_options, without_decay_
from trainwell.optim.scheduling.growing_rate import contraction
from trainwell.optim.scheduling.schedules import factor


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


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name not in ("growing", "cosine_restarts")])
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


def rates(made, optimizer, steps):
    """The rate of each step, from the optimizer."""
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        made.step()
    return found


def fresh(lr=0.5, **options):
    return torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=lr, **options)


@pytest.mark.parametrize(
    ("name", "options", "theirs"),
    [
        ("exponential", {"decay": 0.03}, lambda o: lr_scheduler.ExponentialLR(o, math.exp(-0.03))),
        ("staircase", {"every": 7, "gamma": 0.5}, lambda o: lr_scheduler.StepLR(o, 7, 0.5)),
        ("staircase", {"milestones": [0.3, 0.8]}, lambda o: lr_scheduler.MultiStepLR(o, [15, 40], 0.1)),
        ("polynomial", {"power": 1.7}, lambda o: lr_scheduler.PolynomialLR(o, 50, 1.7)),
        ("cosine_restarts", {"first": 5, "mult": 2}, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 5, 2)),
        ("cosine_restarts", {"first": 8, "mult": 1}, lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, 8)),
        ("cosine", {}, lambda o: lr_scheduler.CosineAnnealingLR(o, 50)),
        ("linear", {}, lambda o: lr_scheduler.LinearLR(o, 1.0, 0.0, 50)),
    ],
)
def test_where_torch_has_the_schedule_rates_are_the_same(name, options, theirs):
    mine, other = fresh(), fresh()
    ours = rates(schedule(mine, name, 50, warmup=0.0, options=options), mine, 50)
    assert ours == pytest.approx(rates(theirs(other), other, 50), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "options", "step", "value"),
    [
        ("inverse", {"decay": 0.25}, 8, 1 / 3),
        ("inverse", {}, 100, 0.01),  # the decay that ends there
        ("inverse_sqrt", {"decay": 0.5}, 16, 1 / 3),
        ("inverse_sqrt", {}, 100, 0.01),
        ("exponential", {}, 50, 0.1),
        ("staircase", {}, 49, 1.0),
        ("staircase", {}, 50, 0.1),
        ("staircase", {}, 75, 0.01),
        ("polynomial", {}, 50, 0.25),
        ("cosine_restarts", {"cycles": 2, "mult": 3}, 24, 0.5 * (1 + math.cos(math.pi * 0.96))),
        ("cosine_restarts", {"cycles": 2, "mult": 3}, 25, 1.0),
        ("cosine_restarts", {"cycles": 2, "mult": 3}, 100, 0.0),
        ("wsd", {}, 80, 1.0),
        ("wsd", {}, 85, 0.5),  # 1 − √¼
        ("wsd", {"form": "linear"}, 85, 0.75),
        ("wsd", {"form": "cosine"}, 90, 0.5),
        ("growing", {"growth": 1.21}, 0, 1.1),
        ("growing", {"growth": 1.21}, 2, 1.1**5),
        ("plateau", {}, 99, 1.0),
    ],
)
def test_closed_forms_without_warm_up(name, options, step, value):
    assert factor(name, step, 100, warmup=0.0, options=options) == pytest.approx(value, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name != "cosine"])
def test_every_shape_follows_the_same_warm_up(name):
    assert [factor(name, k, 40, warmup=0.25) for k in range(10)] == [(k + 1) / 11 for k in range(10)]
    after = [factor(name, 10 + k, 40, warmup=0.25, end=0.1) for k in range(30)]
    assert after == pytest.approx([factor(name, k, 30, warmup=0.0, end=0.1) for k in range(30)], rel=1e-12)


@pytest.mark.parametrize("name", ["inverse", "inverse_sqrt", "exponential", "staircase", "polynomial", "wsd"])
def test_end_is_the_last_and_least_factor(name):
    values = [factor(name, step, 100, warmup=0.0, end=0.05) for step in range(120)]
    assert min(values) >= 0.05 * (1 - 1e-12)
    if name != "staircase":
        assert values[100] == values[119] == pytest.approx(0.05)


def doubling_sums(name, power):
    """Σ η^power over steps (N, 2N] for N = 2^8 … 2^14, with a decay of 1 per step."""
    value = [factor(name, k, 2**15, warmup=0.0, options={"decay": 1.0}) ** power for k in range(2**15)]
    return [sum(value[2**j : 2 ** (j + 1)]) for j in range(8, 15)]


def test_robbins_and_monros_conditions():
    ln2 = math.log(2)
    assert doubling_sums("inverse", 1) == pytest.approx([ln2] * 7, rel=5e-3)  # the sum diverges, that of squares not
    squares = doubling_sums("inverse", 2)
    assert all(later < 0.51 * sooner for sooner, later in pairwise(squares))
    assert doubling_sums("inverse_sqrt", 2) == pytest.approx([ln2] * 7, rel=5e-3)  # its squares diverge as well
    assert sum(doubling_sums("exponential", 1)) < 1e-100  # control: the sum of all rates is finite


def test_an_exponential_rate_stops_at_a_distance_and_the_inverse_does_not():  # on w²/2: w ← (1 − η) w
    left = {}
    for name in ("inverse", "exponential"):
        w = 1.0
        for k in range(20000):
            w *= 1 - 0.9 * factor(name, k, 20000, warmup=0.0, options={"decay": 0.5})
        left[name] = w
    assert left["inverse"] < 1e-6
    assert left["exponential"] > 5e-3
    limit = math.prod(1 - 0.9 * math.exp(-0.5 * k) for k in range(100))
    assert left["exponential"] == pytest.approx(limit, rel=1e-12)


LIVELY = {"plateau": {"patience": 0, "gamma": 0.5}, "cosine_restarts": {"cycles": 2}, "growing": {"weight_decay": 1e-3}}


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_resumed_run_has_the_same_rates_bit_for_bit(name):
    def go(made, optimizer, start, stop):
        found = []
        for step in range(start, stop):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            made.step()
            if name == "plateau" and step % 5 == 4:
                made.observe([3.0, 2.0, 2.5, 2.4, 1.0, 2.0][step // 5])
        return found

    make = {"warmup": 0.2, "end": 0.01, "options": LIVELY.get(name, {})}
    optimizer = fresh(momentum=0.9)
    straight = go(schedule(optimizer, name, 30, **make), optimizer, 0, 30)
    optimizer = fresh(momentum=0.9)
    made = schedule(optimizer, name, 30, **make)
    go(made, optimizer, 0, 13)
    file = io.BytesIO()
    torch.save({"scheduler": made.state_dict(), "optimizer": optimizer.state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    optimizer = fresh(lr=0.7, momentum=0.9)
    made = schedule(optimizer, name, 99)  # other settings: those of the state win
    optimizer.load_state_dict(state["optimizer"])
    made.load_state_dict(state["scheduler"])
    assert go(made, optimizer, 13, 30) == straight[13:]


def test_plateau_lowers_the_rate_as_torchs_does():
    losses = [5.0, 4, 3, 3, 3, 3.1, 2.9999, 2.9, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, 0.5, 0.6, 0.7, math.nan, 0.6]
    for options in ({"patience": 2}, {"patience": 0, "cooldown": 2}, {"patience": 1, "threshold": 0.2}):
        mine, other = fresh(), fresh()
        ours = schedule(mine, "plateau", 100, warmup=0.0, end=1e-3, options={"gamma": 0.3, **options})
        theirs = lr_scheduler.ReduceLROnPlateau(other, factor=0.3, min_lr=5e-4, eps=0, **options)
        for loss in losses:
            mine.step()
            ours.step()
            ours.observe(loss)
            other.step()
            theirs.step(loss)
            assert mine.param_groups[0]["lr"] == pytest.approx(other.param_groups[0]["lr"], rel=1e-12)
        assert mine.param_groups[0]["lr"] < 0.5


def test_plateau_can_watch_the_mean_loss_of_some_batches():
    optimizer = fresh(lr=1.0)
    made = schedule(optimizer, "plateau", 100, warmup=0.1, options={"every": 3, "patience": 0, "gamma": 0.5})
    assert isinstance(made, PlateauSchedule) and made.takes_loss
    for loss in [5.0, 3.0, 1.0, 9.0, 0.0, 0.0, 4.0, 3.0, 2.0]:  # means 3, 3, 3: no progress, twice
        optimizer.step()
        made.step(torch.tensor(loss))
        made.observe(100.0)  # without effect
    assert made.reductions == 2
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.25 * 10 / 11)  # still in the warm-up


def scale_invariant_run(optimizer_of, steps, made_of=None):
    """Directions of a weight whose loss depends on w / ‖w‖ alone, and ‖w‖ at the end."""
    generator = torch.Generator().manual_seed(0)
    w = nn.Parameter(torch.randn(6, generator=generator, dtype=torch.float64))
    a = torch.randn(6, 6, generator=generator, dtype=torch.float64)
    optimizer = optimizer_of(w)
    made = made_of(optimizer) if made_of else None
    directions = []
    for step in range(steps):
        optimizer.zero_grad()
        u = w / w.norm()
        (u @ a @ u + (u * math.sin(step)).sum()).backward()
        optimizer.step()
        if made:
            made.step()
        directions.append((w / w.norm()).detach().clone())
    return torch.stack(directions), w.detach().clone()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_growing_rate_equals_weight_decay_where_the_loss_ignores_scale(momentum):
    decay, lr, steps = 5e-3, 0.1, 300

    def decayed(w):
        return torch.optim.SGD([w], lr=lr, momentum=momentum, weight_decay=decay)

    def grown(optimizer):
        return schedule(optimizer, "growing", steps, warmup=0.0, options={"weight_decay": decay})

    expected, last = scale_invariant_run(decayed, steps)
    found, larger = scale_invariant_run(lambda w: without_decay_(decayed(w)), steps, grown)
    assert_close(found, expected, rtol=0, atol=1e-10)
    assert_close(larger * contraction(lr, decay, momentum) ** steps, last, rtol=1e-10, atol=0)
    plain, _ = scale_invariant_run(lambda w: torch.optim.SGD([w], lr=lr, momentum=momentum), steps)  # control
    assert (plain - expected).abs().max() > 1e-3


def test_contraction_of_li_and_arora():
    assert contraction(0.1, 5e-4, 0.0) == 1 - 0.1 * 5e-4
    assert contraction(0.1, 5e-4, 0.9) ** -2 == pytest.approx(1.00101, abs=5e-6)
    with pytest.raises(ValueError, match=r"must lie in \[0, \(1 − √momentum\)²\]"):
        schedule(fresh(lr=10.0, momentum=0.9), "growing", 10, options={"weight_decay": 0.1})
    with pytest.raises(ValueError, match="without Nesterov"):
        without_decay_(torch.optim.Adam(nn.Linear(1, 1).parameters()))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cosine", {"power": 2}, "cosine has no option 'power'. It has none"),
        ("wsd", {"cool": 2}, "has no option 'cool'. It has cooldown, form"),
        ("wsd", {"cooldown": 0.0}, r"must lie in \(0, 1\]"),
        ("wsd", {"form": "square"}, "sqrt, linear or cosine"),
        ("cosine_restarts", {"mult": 0.5}, "at least 1"),
        ("staircase", {"gamma": 0.0}, "above 0"),
        ("inverse", {"decay": -1.0}, "0 or more"),
        ("plateau", {"gamma": 2.0}, r"in \(0, 1\)"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options, message):
    with pytest.raises(ValueError, match=message):
        schedule(fresh(), name, 10, options=options)


def test_options_of_every_schedule_are_named():
    assert schedule_options("staircase") == {"gamma": 0.1, "milestones": (0.5, 0.75), "every": None}
    assert set(schedule_options("plateau")) == {"gamma", "patience", "threshold", "cooldown", "every"}


def test_groups_keep_their_ratio_under_a_schedule():
    a, b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b], "lr": 0.1}], lr=1.0)
    for name in SCHEDULES:
        made = schedule(copy.deepcopy(optimizer), name, 20, options={"growth": 1.1} if name == "growing" else {})
        for _ in range(15):
            made.optimizer.step()
            made.step()
        first, second = (group["lr"] for group in made.optimizer.param_groups)
        assert first == pytest.approx(10 * second, rel=1e-12)
