"""What is exact about batch normalization.

A net whose weights w feed a normalization is scale-invariant, ∇L(aw) = ∇L(w)/a and w·∇L = 0: SGD moves its direction
with the effective rate η/‖w‖², and every step makes ‖w‖² larger by η²‖∇L‖². Hence (Li & Arora) SGD with momentum γ,
weight decay λ and rate η goes through the same directions as SGD without decay whose rate grows exponentially,

    η̃_t = η α^{−2t−1},   w̃_t = α^{−t} w_t,   α the larger root of α² − (1 + γ − λη) α + γ = 0   (γ = 0: α = 1 − λη),

for λη ≤ (1 − √γ)², if its buffer starts at b = −(1−α) w_0/(ηα), not at 0 (buffer b ← γb + g, w ← w − ηb).
Batch statistics: E(x̂ − x)² ≈ 3/(2B) for standard normal x and |x̂| ≤ √(B−1). Claims N06, N07, N11, N12, N18 (decks R, K,
M, T). Sources: Ioffe & Szegedy 2015, arXiv:1502.03167; Arora, Li & Lyu 2019, arXiv:1812.03981; Li & Arora 2020,
arXiv:1910.07454.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from trainwell.theory.gaussian import Array


class ExponentialRate(NamedTuple):
    """α, the factor 1/α² on the rate per step, and the buffer's start as a multiple of w_0: b_0 = buffer · w_0."""

    alpha: float
    growth: float
    buffer: float


def exponential_rate(lr: float, weight_decay: float, momentum: float = 0.0) -> ExponentialRate:
    """Return the exponentially growing rate equivalent to weight decay in a scale-invariant net.

    Args:
        lr: η > 0.
        weight_decay: λ ≥ 0.
        momentum: γ in [0, 1).

    Raises:
        ValueError: unless λη ≤ (1 − √γ)² and, without momentum, λη < 1.

    Example:
        >>> found = exponential_rate(0.1, 5e-4, 0.9)
        >>> round(found.alpha, 6), round(found.growth, 5)
        (0.999498, 1.00101)
    """
    decay = lr * weight_decay
    if not (lr > 0 and weight_decay >= 0 and 0 <= momentum < 1 and decay <= (1 - momentum**0.5) ** 2 and decay < 1):
        raise ValueError(
            f"exponential_rate: lr={lr} and weight_decay={weight_decay} must satisfy λη ≤ (1 − √γ)² = "
            f"{(1 - max(0.0, momentum) ** 0.5) ** 2:.4g} (and < 1), with momentum={momentum} in [0, 1)."
        )
    half = (1 + momentum - decay) / 2
    alpha = half + math.sqrt(max(0.0, half * half - momentum))
    return ExponentialRate(alpha, alpha**-2, -(1 - alpha) / (lr * alpha))


def batch_noise(batch_size: ArrayLike) -> Array:
    """Return E (x̂ − x)² = 2 − 2√(2/B) Γ(B/2)/Γ((B−1)/2) of a batch of B standard normal x, exactly.

    x̂ = (x − mean)/std of the batch (divided by B). E x̂ x = E s with s the batch's std, so E (x̂ − x)² = 2 − 2 E s,
    E s = √(2/B) Γ(B/2)/Γ((B−1)/2). About 3/(2B) for large B.

    Args:
        batch_size: B ≥ 2.

    Raises:
        ValueError: for B below 2, where x̂ is 0/0.

    Example:
        >>> batch_noise([2, 8, 32]).round(4).tolist()
        [0.8716, 0.1946, 0.0473]
    """
    size = np.asarray(batch_size, dtype=np.float64)
    if not (size >= 2).all():
        raise ValueError(f"batch_noise: batch_size={batch_size!r} must be 2 or more.")
    return 2 - 2 * np.sqrt(2 / size) * np.exp(gammaln(size / 2) - gammaln((size - 1) / 2))


def epsilon_shrinkage(variance: ArrayLike, eps: float = 1e-5) -> Array:
    """Return √(v/(v + ε)), the standard deviation of x̂: below 1 where the variance v is not far above ε (N07).

    Example:
        >>> epsilon_shrinkage([2e-6, 2e-4, 2.0]).round(4).tolist()
        [0.4082, 0.9759, 1.0]
    """
    v = np.asarray(variance, dtype=np.float64)
    return np.sqrt(v / (v + eps))


def normalization_gap(targets: ArrayLike) -> float:
    """Return min ½‖h − t‖² over h of mean 0 and (1/n)Σh² = 1: (n/2)(μ_t² + (σ_t − 1)²); 0 with γ = σ_t, β = μ_t (N18).

    Example:
        >>> normalization_gap([1.0, 5.0] * 4)  # μ = 3, σ = 2
        40.0
    """
    t = np.asarray(targets, dtype=np.float64).reshape(-1)
    return float(t.size / 2 * (t.mean() ** 2 + (t.std() - 1) ** 2))
