"""What the losses of a rehearsal say, in numbers without a unit."""

import math
from dataclasses import dataclass

import numpy as np

from trainwell.clinic.rehearsal import Rehearsal


@dataclass(frozen=True)
class Curve:
    """Of a run's losses.

    Attributes:
        start, end: mean of the first tenth (the first loss, if higher) and of the last fifth.
        descent: (start − end)/|start|: 1 for a loss that falls to 0, below 0 for one that rises.
        falling: share of the descent that the last third of the run brought; ⅓ for a straight line.
        swing: standard deviation of neighbouring differences in the second half, over |start|.
        finite: whether all losses are.
    """

    start: float
    end: float
    descent: float
    falling: float
    swing: float
    finite: bool


def curve_of(run: Rehearsal) -> Curve:
    """Read a run; one without losses gives nans and is not finite."""
    losses = np.array([loss for loss in run.losses if math.isfinite(loss)])
    if len(losses) < 3:
        return Curve(math.nan, math.nan, math.nan, math.nan, math.nan, False)
    start = float(losses[: max(1, len(losses) // 10)].mean())
    end = float(losses[-max(1, len(losses) // 5) :].mean())
    third = max(1, len(losses) // 3)
    before = float(losses[-2 * third : -third].mean()) if len(losses) >= 3 * third else start
    late = float(losses[-third:].mean())
    scale = abs(start) or 1.0
    drop = start - end
    falling = (before - late) / drop if drop > 1e-3 * scale else 0.0
    swing = float(np.diff(losses[len(losses) // 2 :]).std()) / scale if len(losses) > 5 else 0.0
    return Curve(start, end, drop / scale, falling, swing, run.finite)
