"""Limit laws of random matrices: semicircle, Marchenko–Pastur, quarter circle.

    Semicircle         eigenvalues of W/√N, W symmetric N × N:           ρ(x) = √(4 − x²)/(2π) on [−2, 2]
    MarchenkoPastur    eigenvalues of WWᵀ, W p × n of variance 1/n:      ρ(x) = √((b−x)(x−a))/(2πcx), c = p/n,
                       a, b = (1 ∓ √c)², and for c > 1 a mass 1 − 1/c at 0
    QuarterCircle      singular values of W/√N, W square:                ρ(s) = √(4 − s²)/π on [0, 2]

as N, n → ∞, for independent entries of zero mean and variance 1 (symmetric: above the diagonal) with finite variance.
Both hypotheses matter: a mean adds an outlier, Cauchy entries another law. Entries of variance s² scale x by s
(eigenvalues of W, singular values) or s² (of WWᵀ).
Claim S11 (deck T's theorem 4.1 omits zero mean and common variance). Sources: Wigner 1958; Marchenko & Pastur 1967.
"""

from dataclasses import dataclass
from math import comb

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


@dataclass(frozen=True)
class Semicircle:
    """Wigner's law on [−2, 2].

    Example:
        >>> [Semicircle().moment(k) for k in (1, 2, 4, 6, 8)]
        [0, 1, 2, 5, 14]
    """

    def density(self, x: ArrayLike) -> Array:
        """Return √(4 − x²)/(2π); 0 outside."""
        return np.sqrt(np.maximum(0.0, 4 - np.square(x))) / (2 * np.pi)

    def cdf(self, x: ArrayLike) -> Array:
        """Return ½ + x√(4 − x²)/(4π) + asin(x/2)/π."""
        inside = np.clip(x, -2.0, 2.0)
        return 0.5 + inside * np.sqrt(4 - inside**2) / (4 * np.pi) + np.arcsin(inside / 2) / np.pi

    def moment(self, k: int) -> int:
        """Return E xᵏ: Catalan's number of k/2, 0 for odd k."""
        return 0 if k % 2 else comb(k, k // 2) // (k // 2 + 1)


@dataclass(frozen=True)
class QuarterCircle:
    """The singular values of a square matrix of variance 1/N, on [0, 2]: |x| of the semicircle's x."""

    def density(self, s: ArrayLike) -> Array:
        """Return √(4 − s²)/π; 0 outside [0, 2]."""
        return np.where(np.asarray(s) < 0, 0.0, 2 * Semicircle().density(s))

    def cdf(self, s: ArrayLike) -> Array:
        """Return P(singular value ≤ s)."""
        return np.where(np.asarray(s) < 0, 0.0, 2 * Semicircle().cdf(s) - 1)


@dataclass(frozen=True)
class MarchenkoPastur:
    """The law of the eigenvalues of WWᵀ, W p × n with entries of variance 1/n.

    Attributes:
        ratio: c = p/n, above 0.

    Example:
        >>> [MarchenkoPastur(0.5).moment(k) for k in (1, 2, 3, 4)]
        [1.0, 1.5, 2.75, 5.625]
    """

    ratio: float

    def __post_init__(self) -> None:
        if not (np.isfinite(self.ratio) and self.ratio > 0):
            raise ValueError(f"MarchenkoPastur: ratio p/n = {self.ratio} must be finite and above 0.")

    @property
    def edges(self) -> tuple[float, float]:
        """(1 ∓ √c)², between which all eigenvalues but zeros lie."""
        root = self.ratio**0.5
        return (1 - root) ** 2, (1 + root) ** 2

    @property
    def zeros(self) -> float:
        """Share of eigenvalues that are exactly 0: 1 − 1/c for c > 1."""
        return max(0.0, 1 - 1 / self.ratio)

    def density(self, x: ArrayLike) -> Array:
        """Return √((b−x)(x−a))/(2πcx), without the mass at 0; 0 outside (a, b)."""
        low, high = self.edges
        values = np.asarray(x, dtype=np.float64)
        inside = (values > low) & (values < high)
        safe = np.where(inside, values, 1.0)
        return np.where(inside, np.sqrt(np.abs((high - safe) * (safe - low))) / (2 * np.pi * self.ratio * safe), 0.0)

    def cdf(self, x: ArrayLike) -> Array:
        """Return P(eigenvalue ≤ x), zeros included.

        With x = A + B cos θ, A = 1 + c, B = 2√c the mass above x is (2/π) G(θ),
        G = Aθ/B² − sin θ/B − (2|1−c|/B²) atan(|1−√c|/(1+√c) · tan(θ/2)).
        """
        c, low, high = self.ratio, *self.edges
        middle, half, gap = 1 + c, 2 * c**0.5, abs(1 - c)
        values = np.asarray(x, dtype=np.float64)
        theta = np.arccos(np.clip((np.clip(values, low, high) - middle) / half, -1.0, 1.0))
        turned = np.arctan2(abs(1 - c**0.5) * np.sin(theta / 2), (1 + c**0.5) * np.cos(theta / 2))
        above = (middle * theta - 2 * gap * turned) / half**2 - np.sin(theta) / half
        return np.where(values < 0, 0.0, 1 - 2 / np.pi * above)

    def moment(self, k: int) -> float:
        """Return E xᵏ = Σ_{i<k} cⁱ C(k, i) C(k−1, i)/(i + 1), zeros included; 1 for k = 0."""
        return float(sum(self.ratio**i * comb(k, i) * comb(k - 1, i) / (i + 1) for i in range(k))) if k else 1.0
