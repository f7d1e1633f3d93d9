"""Read a learning rate off a range test.

The rate rises exponentially from step to step while the loss is watched. It falls once the rate is large enough to
matter and rises again once steps overshoot. With the smoothed loss s(r), its start s₀ and its minimum s* at r*:

    fall   r₁ = first rate at which half of the descent s₀ − s* is done
    turn   r₂ = last rate before s climbs back above s* + 10 % of the descent (the last rate where it does not)
    rate   r₁^¾ r₂^¼ / 1.5

A mean over the usable range, on the logarithmic scale, depends little on where the test begins and ends or on the order
of samples, unlike the point of steepest descent. It lies nearer to the fall than to the turn, since in the test each
rate acts for one step and in training for hundreds, on weights that are better already. The weights and the margin
were chosen on seven data sets with two optimizers (``bench/rates.py``, ``bench/defaults.md``).
Source: deck M, choosing the learning rate; Smith 2017, §3.3, arXiv:1506.01186.
"""

from collections.abc import Sequence

import numpy as np

MARGIN = 1.5
TOWARDS_FALL = 0.75


def smoothed(losses: Sequence[float], weight: float = 0.9) -> np.ndarray:
    """Exponential moving average, corrected for its start; shape (n,)."""
    average, result = 0.0, []
    for i, loss in enumerate(losses):
        average = weight * average + (1 - weight) * loss
        result.append(average / (1 - weight ** (i + 1)))
    return np.array(result)


def suggest_rate(rates: Sequence[float], losses: Sequence[float]) -> float:
    """A rate inside the range that trains; see the module's text.

    Args:
        rates: rising, one a step.
        losses: at these steps, of the batch before the step was taken; may end in non-finite values.

    Raises:
        ValueError: if fewer than 5 losses are finite, or the loss never falls.
    """
    values = np.asarray(losses, dtype=float)
    bad = np.flatnonzero(~np.isfinite(values))
    end = int(bad[0]) if len(bad) else len(values)
    if end < 5:
        raise ValueError(f"suggest_rate: only {end} losses are finite. Begin with a smaller rate.")
    curve, r = smoothed(values[:end].tolist()), np.asarray(rates, dtype=float)[:end]
    lowest = int(np.argmin(curve))
    start = float(np.max(curve[: lowest + 1]))
    descent = start - float(curve[lowest])
    if descent <= 1e-6 * abs(start):  # float32 says no more
        raise ValueError(
            "suggest_rate: the loss never falls. Begin with a smaller rate, or look at data and model first."
        )
    fall = int(np.argmax(curve <= start - 0.5 * descent))
    above = np.flatnonzero(curve[lowest:] > curve[lowest] + 0.1 * descent)
    turn = lowest + int(above[0]) - 1 if len(above) else end - 1
    return float(r[fall] ** TOWARDS_FALL * r[max(turn, fall)] ** (1 - TOWARDS_FALL)) / MARGIN
