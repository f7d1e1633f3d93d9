"""When a least-squares fit that interpolates noisy labels still predicts well.

Gaussian features, n samples, spectrum λ_1 ≥ λ_2 ≥ … of the features' covariance. With r_k = Σ_{i>k} λ_i/λ_{k+1} and
R_k = (Σ_{i>k} λ_i)²/Σ_{i>k} λ_i², the minimum-norm solution has, up to constants,

    k* = min{k: r_k ≥ b n},        variance ≍ σ² (k*/n + n/R_{k*}),

and interpolation is benign where that is small: few heavy directions and a long flat tail, with Σ_tail ≪ n λ_head,
since the tail acts like a ridge penalty. Claim G09 (deck G).
Sources: Bartlett, Long, Lugosi & Tsigler 2020, theorem 4, arXiv:1906.11300; Tsigler & Bartlett 2023, arXiv:2009.14286.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class BenignOverfitting(NamedTuple):
    """k*, r_{k*}, R_{k*} and the variance (k*/n + n/R_{k*}) per unit of noise; k* = −1 and ∞ where there is none."""

    k: int
    r: float
    R: float
    variance: float


def benign_overfitting(eigenvalues: ArrayLike, samples: int, *, b: float = 1.0) -> BenignOverfitting:
    """Return Bartlett et al.'s k*, r, R and the variance term of min-norm interpolation, per unit of noise.

    Args:
        eigenvalues: of the features' covariance, positive, any order.
        samples: n.
        b: the constant in r_k ≥ b n; the theorem says only that there is one.

    Raises:
        ValueError: if there is no positive eigenvalue, one is negative, or n < 1.

    Example:
        >>> found = benign_overfitting([1.0] * 5 + [0.002] * 4995, 100)
        >>> found.k, round(found.variance, 3)
        (5, 0.07)
    """
    spectrum = np.sort(np.asarray(eigenvalues, dtype=np.float64).reshape(-1))[::-1]
    if not spectrum.size or samples < 1 or not (spectrum > 0).all():
        raise ValueError(f"benign_overfitting: the eigenvalues must be positive and samples={samples} 1 or more.")
    tail = np.cumsum(spectrum[::-1])[::-1]
    squares = np.cumsum(spectrum[::-1] ** 2)[::-1]
    enough = np.flatnonzero(tail / spectrum >= b * samples)
    if not enough.size:
        return BenignOverfitting(-1, float("nan"), float("nan"), float("inf"))
    k = int(enough[0])
    effective = float(tail[k] ** 2 / squares[k])
    return BenignOverfitting(k, float(tail[k] / spectrum[k]), effective, k / samples + samples / effective)
