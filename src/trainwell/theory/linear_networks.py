"""Learning time of deep linear networks.

Balanced layers aligned with the data: each singular mode of the product of L layers has a strength u that follows, for
whitened inputs and a target strength s > 0,

    du/dt = L u^{2 − 2/L} (s − u),        loss ½ (s − u)²,

and its discrete form for the common factor a = u^{1/L}: a ← a − η a^{L−1}(a^L − s). With η = c/L the number of steps
stays bounded with depth if u(0) doesn't depend on it (orthogonal weights); Gaussian weights make u(0) of the small
modes fall exponentially with L. Closed forms: L = 1: u = s + (u_0 − s)e^{−t}; L = 2: logistic,
u = s e^{2st}/(e^{2st} − 1 + s/u_0); L → ∞ in the time τ = L t: τ = ∫ du/(u²(s − u)).
Claim S13 (deck T). Source: Saxe, McClelland & Ganguli 2014, §1.2 and §2, arXiv:1312.6120.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import quad

from trainwell.theory.gaussian import Array


def learning_time(start: float, end: float, target: float, depth: int) -> float:
    """Return the time ∫ du/(L u^{2−2/L}(s − u)) in which a mode's strength goes from ``start`` to ``end``.

    Args:
        start: u(0) > 0.
        end: between ``start`` and the target.
        target: s > 0.
        depth: L ≥ 1.

    Raises:
        ValueError: unless all are positive and ``end`` lies from ``start`` to before ``target``.

    Example:
        >>> round(learning_time(0.01, 0.99, 1.0, 2), 4)  # ln(99²)/2
        4.5951
    """
    _check(start, target, depth)
    if not (start <= end < target or target < end <= start):
        raise ValueError(
            f"learning_time: end={end} must lie between start={start} and target={target}, before the target."
        )
    power = 1 - 2 / depth  # in x = ln u, du = u dx
    value, _ = quad(
        lambda x: np.exp(-power * x) / (depth * (target - np.exp(x))), np.log(start), np.log(end), limit=200
    )
    return float(value)


def mode_strengths(start: ArrayLike, target: ArrayLike, depth: int, lr: float, steps: int) -> Array:
    """Return u after 0 … ``steps`` steps of gradient descent, shape (steps + 1, *modes).

    Args:
        start: u(0) > 0 of each mode.
        target: s > 0 of each mode.
        depth: L ≥ 1.
        lr: η; c/L keeps the pace at all depths.
        steps: how many.
    """
    strength, goal = np.broadcast_arrays(np.asarray(start, dtype=np.float64), np.asarray(target, dtype=np.float64))
    _check(float(strength.min()), float(goal.min()), depth)
    factor = strength ** (1 / depth)
    found = np.empty((steps + 1, *factor.shape))
    for step in range(steps + 1):
        found[step] = factor**depth
        factor = factor - lr * factor ** (depth - 1) * (found[step] - goal)
    return found


def steps_to_loss(start: float, target: float, depth: int, lr: float, loss: float, limit: int = 100_000) -> int:
    """Return after how many steps ½(s − u)² is at most ``loss``; −1 if not within ``limit``.

    Example:
        >>> [steps_to_loss(0.5, 1.0, depth, 0.1 / depth, 1e-3) for depth in (2, 8, 32, 128)]
        [30, 37, 39, 40]
    """
    _check(start, target, depth)
    factor = start ** (1 / depth)
    for step in range(limit + 1):
        strength = factor**depth
        if 0.5 * (target - strength) ** 2 <= loss:
            return step
        factor -= lr * factor ** (depth - 1) * (strength - target)
    return -1


def _check(start: float, target: float, depth: int) -> None:
    if not (start > 0 and target > 0 and depth >= 1):
        raise ValueError(f"A mode needs start={start} and target={target} above 0, and depth={depth} of 1 or more.")
