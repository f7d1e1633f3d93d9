"""Read from the losses of a run whether its learning rate was right.

With the losses l_0 … l_{n−1} of the batches, their noise σ (1.48 / √2 times the median |difference| of neighbours in
the second half), the means of twenty blocks b_1 … b_20, the start s (the lower of l_0 and the mean of the first
hundredth), the end e (the last three blocks) and the lowest block b*:

    drop     (s − e) in standard errors of both, σ √(1/k + 1/3w)        how sure it is that something was learned
    climb    (max l − s) / σ                                            how far above its start it went
    area     mean of (b − b*) / (max(s, b_1) − b*)                      ½ for a straight fall, ≪ ½ for a fast one
    arrival  share of the run until b ≤ e + a tenth of that descent
    drift    standard deviation of b_11 … b_20 over the descent
    shake    standard deviation of the differences of the second half over s − e

All are ratios of differences of losses: the reading does not change when losses are multiplied or shifted, and no
number has the unit of a loss.

    too-high       not finite; or it climbed and did not end below its start
    too-low        nothing is learned and nothing moved; or the descent is still under way (area near ½ or above)
    high           it learns, but goes far above its start, or wanders and shakes on the scale of its descent
    noisy plateau  it arrives early, stays level, and shakes: the floor of SGD, ∝ η, which a smaller rate lowers
    good           the rest: a fast descent that goes on, or is done without noise

The numbers of the rule were chosen on half of the labelled runs of ``bench/read_curve.py``, which reports the other
half: 97 % right, with problems never seen 95 %. It is weakest between high and its neighbours (two thirds found), and a
curve of few samples a batch may hide a slow climb in its noise.
Source: deck M (a low rate always gets there, given time; flattening too early means too large); Stanford CS231n notes
3; for quadratics monotone, zig-zag and divergence at η L = 1 and 2, floor E loss = η s² / (2 (2 − ηλ)).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

LABELS = ("too-low", "good", "high", "too-high", "noisy plateau")
BLOCKS = 20
FEWEST = 40  # losses: two a block
SURE = 5.0  # standard errors by which a run ends above its start (of few samples: heavy tails)
CLIMB = 9.0  # noises above the start that chance does not explain
STRAIGHT = 1 / 3  # area from which a descent is under way
TOWERING = 10.0  # climb over descent
SHAKING, WANDERING = 0.6, 0.1  # differences of losses, and block means, over the descent
RISING = -2.0  # standard errors by which the last quarter lies above the third
ARRIVED, LEVEL, NOISY = 0.1, 0.025, 0.03  # share of the run; fall of the last quarter and noise over the descent


@dataclass(frozen=True)
class CurveReading:
    """What a curve says about the rate.

    Attributes:
        label: too-low, good, high, too-high or noisy plateau.
        why: one sentence with the numbers that decided, and what to try.
        numbers: the measures of the module's text, dimensionless; empty where a loss was not finite.
    """

    label: str
    why: str
    numbers: Mapping[str, float]


def read_curve(losses: Sequence[float], *, rates: Sequence[float] | None = None) -> CurveReading:
    """Read one run; see the module's text.

    Args:
        losses: of the batches (or of all data), one a step, at least 40; may end in values that are not finite.
        rates: of the same steps, where they changed: the reading is of the steps up to the last one at half of the
            highest rate or more, since a falling rate lowers noise and hides what the peak rate did.

    Raises:
        ValueError: for fewer than 40 losses, or rates that are not as many.

    Example:
        >>> read_curve([4 * 0.9**t for t in range(200)]).label
        'good'
        >>> read_curve([4 * 1.1**t for t in range(200)]).label
        'too-high'
        >>> read_curve([4 * 0.9999**t for t in range(200)]).label
        'too-low'
    """
    curve = np.asarray(losses, dtype=float)
    if rates is not None:
        if len(rates) != len(curve):
            raise ValueError(f"read_curve: {len(curve)} losses and {len(rates)} rates. Give one rate a loss.")
        eta = np.asarray(rates, dtype=float)
        curve = curve[: int(np.flatnonzero(eta >= 0.5 * eta.max())[-1]) + 1] if len(eta) else curve
    bad = np.flatnonzero(~np.isfinite(curve))
    if len(bad):
        why = f"the loss is {curve[bad[0]]} from step {bad[0]} of {len(curve)} on: try a tenth of the rate, or less."
        return CurveReading("too-high", why, {})
    if len(curve) < FEWEST:
        raise ValueError(f"read_curve: {len(curve)} losses at the peak rate are too few. Give at least {FEWEST}.")
    numbers = measures(curve)
    return CurveReading(*_judge(numbers), numbers)


def measures(curve: np.ndarray) -> dict[str, float]:
    """The measures of the module's text of finite losses, shape (n,)."""
    n, tiny = len(curve), 1e-12
    curve = curve / max(float(np.abs(curve).max()), np.finfo(float).tiny)  # differences cannot overflow
    curve = (curve - curve[0]) / (float(np.ptp(curve)) or 1.0)
    first, width = max(1, n // 100), n // BLOCKS
    blocks = curve[n - BLOCKS * width :].reshape(BLOCKS, width).mean(1)
    late = np.diff(curve[n // 2 :])
    noise = 1.4826 / math.sqrt(2) * float(np.median(np.abs(late)))
    start, end, lowest = min(float(curve[0]), float(curve[:first].mean())), float(blocks[-3:].mean()), blocks.min()
    descent = max(start, float(blocks[0])) - float(lowest) + tiny
    third, last = float(blocks[10:15].mean()), float(blocks[15:].mean())
    arrived = np.flatnonzero(blocks <= end + 0.1 * descent)
    return {
        "drop": (start - end) / (noise * math.sqrt(1 / first + 1 / (3 * width)) + tiny),
        "climb": (float(curve.max()) - start) / (noise + tiny),
        "towering": (float(curve.max()) - start) / (abs(start - float(lowest)) + tiny),
        "area": float(((blocks - lowest) / descent).mean()),
        "arrival": float(arrived[0]) / BLOCKS if len(arrived) else 1.0,
        "fall": (third - last) / descent,
        "sure fall": (third - last) / (noise * math.sqrt(2 / (5 * width)) + tiny),
        "drift": float(np.std(blocks[10:])) / descent,
        "shake": float(np.std(late)) / (abs(start - end) + tiny),
        "noise": noise / (abs(start - end) + tiny),
    }


def _judge(m: Mapping[str, float]) -> tuple[str, str]:
    """Label and sentence."""
    if m["drop"] < -SURE or (m["drop"] <= 0 and m["climb"] > CLIMB):
        return "too-high", (
            f"the loss ends no lower than it began ({m['drop']:.3g} standard errors below) after a climb of "
            f"{m['climb']:.3g} times its noise: try a tenth of the rate."
        )
    if m["drop"] <= 0:
        return (
            "too-low",
            f"the loss does not leave its noise ({m['drop']:.2g} standard errors): try ten times the rate.",
        )
    if m["area"] > STRAIGHT:
        if m["climb"] > CLIMB or (m["sure fall"] < RISING and m["arrival"] < 0.5):
            return "high", (
                f"the loss goes {m['climb']:.3g} times its noise above its start and comes back late: try a third of "
                "the rate, or a warm-up."
            )
        return "too-low", (
            f"the descent is still under way: the area below it is {m['area']:.2f} of the whole (a straight line: "
            "0.5): try three to ten times the rate."
        )
    if m["towering"] > TOWERING or m["shake"] > SHAKING or m["drift"] > WANDERING:
        return "high", (
            f"the loss shakes and wanders on the scale of what it gains (steps {m['shake']:.2f}, blocks "
            f"{m['drift']:.2f}, climb {m['towering']:.3g} of the descent): try a third of the rate."
        )
    if m["arrival"] <= ARRIVED and m["fall"] < LEVEL and m["noise"] > NOISY:
        return "noisy plateau", (
            f"the loss is level from {100 * m['arrival']:.0f} % of the run on, with noise of {100 * m['noise']:.0f} % "
            "of the descent: lower the rate by a schedule, or take a larger batch."
        )
    return (
        "good",
        f"a fast descent (area {m['area']:.2f}) that goes on or is done, without wandering ({m['drift']:.3f}).",
    )
