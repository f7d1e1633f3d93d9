"""When a curve first comes down to a level, and the levels that a set of curves has in common.

Levels lie on the way from the common start a to the lowest value b that any curve reached, at shares s of it:

    L(s) = a − s (a − b),   or  a^(1−s) b^s  where b > 0 and a > 20 b (on a logarithmic axis the way is the same).

Between two points of a curve the crossing is interpolated, on the same scale.
"""

import math
from collections.abc import Sequence

SHARES = (0.25, 0.5, 0.75, 0.9)
TARGET = 0.9  # the share whose level decides who wins
WIDE = 20.0


def common_levels(curves: Sequence[Sequence[float]], shares: Sequence[float] = SHARES) -> tuple[float, ...]:
    """Levels on the way from the start to the lowest value of all curves; () where no curve falls.

    Args:
        curves: of one start; values that are not finite are passed over.

    Example:
        >>> common_levels([[4.0, 2.0], [4.0, float("nan")]], (0.5,))
        (3.0,)
    """
    finite = [value for curve in curves for value in curve if math.isfinite(value)]
    starts = [curve[0] for curve in curves if len(curve) and math.isfinite(curve[0])]
    if not finite or not starts or min(finite) >= starts[0]:
        return ()
    start, lowest = starts[0], min(finite)
    if falls_far(start, lowest):
        return tuple(start ** (1 - share) * lowest**share for share in shares)
    return tuple(start - share * (start - lowest) for share in shares)


def falls_far(start: float, lowest: float) -> bool:
    """Does the way from ``start`` to ``lowest`` ask for a logarithmic scale?"""
    return lowest > 0 and start > WIDE * lowest


def first_reach(at: Sequence[float], values: Sequence[float], level: float, logarithmic: bool = False) -> float | None:
    """Where the curve is at or below the level for the first time; None if it never is.

    Args:
        at: rising; shape (n,).
        values: at these places.
        logarithmic: interpolate the logarithm of the value.

    Example:
        >>> first_reach([0, 10, 20], [4.0, 2.0, 1.0], 3.0)
        5.0
    """
    for i, value in enumerate(values):
        if not math.isfinite(value) or value > level:
            continue
        if i == 0 or not math.isfinite(values[i - 1]):
            return float(at[i])
        above, below, aim = values[i - 1], value, level
        if logarithmic and min(above, below, aim) > 0:
            above, below, aim = math.log(above), math.log(below), math.log(aim)
        return float(at[i - 1] + (at[i] - at[i - 1]) * (above - aim) / (above - below))
    return None
