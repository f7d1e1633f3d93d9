"""N04: on a small constrained problem, normalizing after each step and the Lagrangian lose to minimizing F(η(h)).

min F(h) = Σ g(h_i) over h of mean 0 and mean square 1, here with g(h) = h⁴ and n = 10: the least value is n, where five
h_i are +1 and five −1. η(h) = (h − mean)/standard deviation. Three ways with the step size α, from the same starts:

    1  normalize after each step    h ← η(h − α ∇F(h))
    2  Lagrangian                   h ← h − α ∇(F + λ Σh_i + ν (Σh_i² − n)),  λ and ν ascend with the same α
    3  through the normalization    h ← h − α ∇F(η(h)),  as batch normalization does it; the result is η(h)

The lecture writes way 1 with α = 1 and finds that 1 and 2 “don't work well in practice”. Way 1 has exactly the
constrained stationary points as fixed points. Near the minimum it multiplies errors by (1 − 12α)/(1 − 4α), so that it
converges for α < 1/8 only; with a small step it is as good as way 3. Way 3 multiplies them by 1 − 8α/σ², σ² the mean
square of h, which no step of way 3 lowers: it grows until σ² > 4α. So way 3 does not find better minima; it needs no
tuning of α. (The lecture asks for Σ h² = 1, and its σ lacks the root: its η belongs to (1/n) Σ h² = 1, used here.)

Decks: T
Control: way 3 with h normalized after each step, so that σ = 1 and the step cannot tune itself.
Source: Ioffe & Szegedy 2015, arXiv:1502.03167; Absil, Mahony & Sepulchre 2008, chapter 4 (way 1 as a retraction).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.experiment import Check
from trainwell.nn.normalization.batchnorm_backward import batchnorm_gradients
from trainwell.theory.gaussian import Array

FORMULA = r"""
\min_h\ \sum_i g(h_i) \quad \mathrm{with}\ \sum_i h_i = 0,\ \frac{1}{n}\sum_i h_i^2 = 1
1:\ h \leftarrow \eta(h - \alpha \nabla F(h)) \qquad 3:\ h \leftarrow h - \alpha\,\nabla_h F(\eta(h))
\mathrm{converges\ for} \quad 1:\ \alpha < 1/8 \qquad 3:\ \alpha < \sigma^2/4,\ \ \sigma^2\ \mathrm{grows}
"""
STEPS = (0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0, 3.0)  # α
SMALL, LECTURE = STEPS.index(0.01), STEPS.index(1.0)
LIMIT = 1 / 8  # of way 1's α
EPS = 1e-20  # of the normalization: σ as it is
REACHED = 1e-5  # above the least value, relative


@dataclass(frozen=True)
class Setting:
    starts: int
    iterations: int
    n: int = 10
    seed: int = 0


QUICK = Setting(starts=400, iterations=1200)
FULL = Setting(starts=5000, iterations=5000)


@dataclass(frozen=True)
class Measured:
    """What one run gives of the three ways at every step size."""

    share: Array  # of the starts that end at the least value, shape (ways, steps)
    apart: float  # share of the starts that end differently on ways 1 and 3, at the smallest step
    stationary: float  # largest tangential part of ∇F over ∇F where way 1 ends, at the smallest step
    spread: Array  # least σ²/(4α) of way 3 among the starts that reach the least value, shape (steps,)
    pace: Array  # median iterations to the least value at the smallest step, of those that reach it, shape (ways,)
    starts: int


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    n, starts = setting.n, setting.starts
    start = _normalized(torch.randn(n, starts, generator=generator, dtype=torch.float64)).repeat(1, len(STEPS))
    alpha = torch.tensor(STEPS, dtype=torch.float64).repeat_interleave(starts)  # one column a step size and start
    first = second = third = start
    multiplier, square = torch.zeros(starts * len(STEPS)).double(), torch.zeros(starts * len(STEPS)).double()
    first_time = torch.full((3, starts), torch.inf).double()
    for iteration in range(setting.iterations):
        first = _normalized(first - alpha * 4 * first**3)
        second = second - alpha * (4 * second**3 + multiplier + 2 * square * second)
        multiplier = multiplier + alpha * second.sum(0)
        square = square + alpha * (second.square().sum(0) - n)
        third = third - alpha * _through_normalization(third)
        third = third if cause else _normalized(third)
        slow = torch.stack([each[:, :starts] for each in (first, second, third)], 1)  # at the smallest step
        arrived = _least(slow) & first_time.isinf()
        first_time[arrived] = iteration + 1.0
    reached = _least(torch.stack([first, second, third], 1)).reshape(3, len(STEPS), starts)
    spread = (third.var(0, correction=0) / (4 * alpha)).reshape(len(STEPS), starts)
    small = first.reshape(n, len(STEPS), starts)[:, SMALL]
    tangential = _through_normalization(small).norm(dim=0) / (4 * small**3).norm(dim=0)
    return Measured(
        reached.double().mean(2).numpy(),
        float((reached[0, SMALL] != reached[2, SMALL]).double().mean()),
        float(tangential.max()),
        torch.where(reached[2].any(1), torch.where(reached[2], spread, torch.inf).amin(1), 0).numpy(),
        np.array([float(times[times.isfinite()].median()) for times in first_time]),
        starts,
    )


def _least(h: Tensor) -> Tensor:
    """Whether η(h) has the least value of F."""
    return (_normalized(h).pow(4).mean(0) - 1).abs() <= REACHED


def _normalized(h: Tensor) -> Tensor:
    centred = h - h.mean(0)
    return centred / centred.square().mean(0).sqrt()


def _through_normalization(h: Tensor) -> Tensor:
    """∇F(η(h)): the starts are the channels of a batch normalization."""
    return batchnorm_gradients(h, torch.ones(h.shape[1]).double(), 4 * _normalized(h) ** 3, EPS).input


def check(measured: Measured) -> list[Check]:
    first, second, third = measured.share
    tenth = f"a tenth of the starts: more than two standard errors of a share, {1 / measured.starts**0.5:.2f}"
    beyond = np.array(STEPS) > LIMIT
    return [
        Check(
            "α = 1: way 3 − the better of 1, 2",
            third[LECTURE] - max(first[LECTURE], second[LECTURE]),
            "at_least",
            0.1,
            0.0,
            "claim",
            tenth,
        ),
        Check("each at its best α: way 3 − way 2", third.max() - second.max(), "at_least", 0.1, 0.0, "claim", tenth),
        Check("each at its best α: way 3 − way 1", third.max() - first.max(), "at_least", 0.1, 0.0, "claim", tenth),
        Check("way 3, share at the worst α", third.min(), "at_least", 0.5, 0.0, "claim", "“works well”: most starts"),
        Check("way 1, share at α above 1/8", first[beyond], "equals", 0.0, 0.0, "theory", "the minimum is unstable"),
        Check("way 3, least σ²/(4α) at the minimum", measured.spread, "at_least", 1.0, 0.0, "theory", "else unstable"),
        Check(
            "α = 0.01: starts that end differently on 1, 3",
            measured.apart,
            "at_most",
            0.0,
            0.05,
            "theory",
            "both follow the gradient flow, but for the few starts within 12α of a border",
        ),
        Check(
            "α = 0.01: iterations of way 1 over way 3",
            measured.pace[0] / measured.pace[2],
            "equals",
            1.0,
            0.1,
            "theory",
            "way 1 is faster by 1/(1 − 4α) at the end, and σ² of way 3 grows by some per cent",
        ),
        Check(
            "α = 0.01: tangential part of ∇F where way 1 ends",
            measured.stationary,
            "at_most",
            0.0,
            1e-6,
            "theory",
            "convergence: (1 − 8α) a step at the minimum, slower past saddles",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    names = ("1: normalize after each step", "2: Lagrangian", "3: through the normalization")
    axes.plot([LIMIT, LIMIT], [0, 1], label="theory: end of 1, α = 1/8")
    axes.plot([2 * LIMIT, 2 * LIMIT], [0, 1], "--", label="theory: end of the control, α = 1/4")
    for share, name, mark in zip(with_cause.share, names, "s^o", strict=True):
        axes.plot(STEPS, share, mark + ":", label=name)
    axes.plot(STEPS, control.share[2], "x:", label="3 with h kept normalized (control)")
    axes.set(xlabel="step size α", ylabel="share of starts at the least value", xscale="log")
