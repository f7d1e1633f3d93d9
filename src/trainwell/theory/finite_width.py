"""How far one net of finite width is from the mean: the norm's fluctuation in ReLU and linear nets at initialization.

Gaussian weights of variance 2/n_{l−1}, no biases, ReLU: the ratios ρ_l = ‖h_l‖²/‖h_{l−1}‖² are independent,

    ρ_l = (2/n_{l−1}) χ²_K,   K ~ Bin(n_l, ½):     E ρ = n_l/n_{l−1},    E ρ²/(E ρ)² = 1 + 5/n_l,

so that of the last layer, exactly (n hidden widths n_1 … n_L),

    E‖h_L‖⁴/(E‖h_L‖²)² = ∏ (1 + 5/n_l) ≈ exp(5 Σ 1/n_l),
    Var ln‖h_L‖² = Σ v(n_l),   v(n) = E ψ'(K/2) + Var ψ(K/2) = 5/n + O(1/n²),
    E ln‖h_L‖² − ln E‖h_L‖² = Σ u(n_l),   u(n) = E ψ(K/2) + ln(4/n) = −5/(2n) + O(1/n²),

given K ≥ 1 in every layer; a layer is dead, K = 0, with probability 2^{−n}. For ln‖h‖ divide v by 4 and u by 2.
A linear net with variance 1/n_{l−1} has K = n: 1 + 2/n, v = ψ'(n/2), u = ψ(n/2) + ln(2/n); an orthogonal one none of
it. ψ is the digamma function. Claim S10 (deck T writes exp(L/d); the constant is 5).
Sources: Hanin & Rolnick 2018, arXiv:1803.01719; Hanin 2018, arXiv:1801.03744; Hanin & Nica 2020, arXiv:1812.05994.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import digamma, gammaln, polygamma

from trainwell.theory.gaussian import Array


@dataclass(frozen=True)
class LogNorm:
    """Fluctuation of ‖h_L‖² over random nets.

    Attributes:
        mean: E ln‖h_L‖² − ln E‖h_L‖² ≤ 0: how much smaller the typical net's is than the mean.
        variance: Var ln‖h_L‖².
        moment_ratio: E‖h_L‖⁴/(E‖h_L‖²)², over all nets.
        dead: chance that some layer has no active unit; mean and variance are over the other nets.
    """

    mean: float
    variance: float
    moment_ratio: float
    dead: float

    @property
    def relative_std(self) -> float:
        """Standard deviation of ‖h_L‖² over its mean, √(moment_ratio − 1)."""
        return float(np.sqrt(self.moment_ratio - 1))


def log_norm_step(width: int, *, linear: bool = False) -> tuple[float, float]:
    """Return (u(n), v(n)): mean and variance that one layer of ``width`` units adds to ln‖h‖².

    Args:
        width: n, 1 or more.
        linear: no ReLU.

    Raises:
        ValueError: for a width below 1.

    Example:
        >>> [round(log_norm_step(n)[1], 4) for n in (10, 20, 50, 100)]
        [0.8667, 0.3118, 0.1082, 0.0519]
    """
    if width < 1:
        raise ValueError(f"log_norm_step: width {width} must be 1 or more.")
    if linear:
        return float(digamma(width / 2) + np.log(2 / width)), float(polygamma(1, width / 2))
    k = np.arange(1, width + 1, dtype=np.float64)
    chance = np.exp(gammaln(width + 1) - gammaln(k + 1) - gammaln(width - k + 1) - width * np.log(2))
    chance /= chance.sum()
    level = digamma(k / 2)
    mean = float(chance @ level)
    return mean + float(np.log(4 / width)), float(chance @ (polygamma(1, k / 2) + (level - mean) ** 2))


def log_norm(widths: ArrayLike, *, linear: bool = False) -> LogNorm:
    """Return the fluctuation of ‖h_L‖² after layers of ``widths`` units n_1 … n_L (without the input).

    Args:
        widths: of the layers that the weights lead to.
        linear: no ReLU.

    Example:
        >>> round(log_norm([20] * 10).variance, 3)
        3.118
    """
    sizes = np.asarray(widths, dtype=np.int64).reshape(-1)
    unique, times = np.unique(sizes, return_counts=True)
    steps: Array = np.array([log_norm_step(int(n), linear=linear) for n in unique]).reshape(-1, 2)
    mean, variance = times @ steps
    ratio = np.prod((1 + (2 if linear else 5) / unique) ** times)
    alive = times @ np.log1p(-(0.5 ** unique.astype(np.float64)))
    return LogNorm(float(mean), float(variance), float(ratio), 0.0 if linear else float(-np.expm1(alive)))
