"""How often the perceptron errs before it separates the data.

On a mistake w ← w + y x. Mistakes over all passes ≤ (R/γ)², with R = max‖x‖ and γ = min y u·x for any unit vector u
that separates the data: w·u grows by at least γ a mistake and ‖w‖² by at most R². It is SGD on max(0, −y w·x).
Claim L10 (deck M). Sources: Rosenblatt 1962; Novikoff 1962.
"""

import numpy as np
from numpy.typing import ArrayLike


def perceptron_bound(X: ArrayLike, y: ArrayLike, separator: ArrayLike) -> float:
    """Return (R/γ)², which the perceptron's mistakes over all passes can't exceed; ∞ if ``separator`` doesn't separate.

    Args:
        X: shape (n, d), with a column of ones for a bias.
        y: ±1, shape (n,).
        separator: any u; the one with the largest margin gives the least bound.

    Example:
        >>> round(perceptron_bound([[3.0, 4.0], [-3.0, 0.0]], [1, -1], [1.0, 0.0]), 2)
        2.78
    """
    rows, u = np.asarray(X, dtype=np.float64), np.asarray(separator, dtype=np.float64)
    margin = float((np.asarray(y) * (rows @ u)).min()) / float(np.linalg.norm(u))
    return float(np.square(rows).sum(1).max() / margin**2) if margin > 0 else float("inf")
