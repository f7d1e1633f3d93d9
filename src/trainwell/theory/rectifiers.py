"""Moments of scale-invariant rectifiers in closed form: identity, ReLU, leaky, parametric, randomized leaky, maxout.

φ(x) = x for x ≥ 0, a x below it. With |x| = the even part, φ = (1 + a)/2 · x + (1 − a)/2 · |x|, and

    E φ² = q (1 + a²)/2,    E φ'² = (1 + a²)/2,    E φ = (1 − a) √(q/(2π)),
    E φ(u) φ(v) = q [((1 + a)/2)² c + ((1 − a)/2)² (2/π) (√(1 − c²) + c asin c)].

Source: Cho & Saul 2009 (arc-cosine kernel of degree 1, a = 0); He et al. 2015, §2.2, arXiv:1502.01852.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from trainwell.theory.gaussian import Array, as_variance, expectation
from trainwell.theory.gaussian_moments import Nonlinearity, as_correlation


def absolute_covariance(c: ArrayLike) -> Array:
    """Return E|u||v| = (2/π)(√(1 − c²) + c asin c) for u, v ~ N(0, 1) of correlation ``c``."""
    correlation = as_correlation(c)
    return 2 / np.pi * (np.sqrt((1 - correlation) * (1 + correlation)) + correlation * np.arcsin(correlation))


@dataclass(frozen=True)
class LeakyReLU(Nonlinearity):
    """x above zero, slope · x below; slope 0 is ReLU, slope 1 the identity.

    Attributes:
        name: of the function.
        slope: below zero, any number.
    """

    name: str
    slope: float
    kinks: tuple[float, ...] = (0.0,)

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        array = np.asarray(x, dtype=np.float64)
        return np.where(array >= 0, array, self.slope * array)

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise; 1 at zero."""
        return np.where(np.asarray(x, dtype=np.float64) >= 0, 1.0, self.slope)

    def mean(self, q: ArrayLike) -> Array:
        """Return (1 − a) √(q/(2π))."""
        return (1 - self.slope) * np.sqrt(as_variance(q) / (2 * np.pi))

    def second_moment(self, q: ArrayLike) -> Array:
        """Return q (1 + a²)/2."""
        return as_variance(q) * (1 + self.slope**2) / 2

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return (1 + a²)/2."""
        return np.full_like(as_variance(q), (1 + self.slope**2) / 2)

    def growth(self, q: ArrayLike) -> Array:
        """Return (1 + a²)/2."""
        return self.slope_moment(q)

    def covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ(u) φ(v) for u, v ~ N(0, q) of correlation ``c``."""
        even, odd = ((1 - self.slope) / 2) ** 2, ((1 + self.slope) / 2) ** 2
        return as_variance(q) * (odd * as_correlation(c) + even * absolute_covariance(c))

    def slope_covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return ((1 + a)/2)² + ((1 − a)/2)² (2/π) asin c."""
        even, odd = ((1 - self.slope) / 2) ** 2, ((1 + self.slope) / 2) ** 2
        return (odd + even * 2 / np.pi * np.arcsin(as_correlation(c))) * np.ones_like(as_variance(q))


@dataclass(frozen=True)
class RandomizedLeakyReLU(Nonlinearity):
    """x above zero, a · x below with a ~ U[lower, upper] drawn for every number: while training.

    Second moments see E a² = (lower² + lower · upper + upper²)/3; two passes draw other slopes, so covariances see
    (E a)², also at c = 1: like dropout, the noise decorrelates equal inputs. ``value`` is that of evaluation.
    Source: Xu et al. 2015, arXiv:1505.00853.

    Attributes:
        name: of the function.
        lower: smallest slope.
        upper: largest slope.
    """

    name: str = "randomized_leaky_relu"
    lower: float = 1 / 8
    upper: float = 1 / 3
    kinks: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not self.lower <= self.upper:
            raise ValueError(f"randomized_leaky_relu: lower={self.lower} must not be above upper={self.upper}.")

    @property
    def evaluation(self) -> LeakyReLU:
        """The leaky ReLU of the mean slope."""
        return LeakyReLU("leaky_relu", (self.lower + self.upper) / 2)

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x) in evaluation mode, elementwise."""
        return self.evaluation.value(x)

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x) in evaluation mode, elementwise."""
        return self.evaluation.derivative(x)

    def mean(self, q: ArrayLike) -> Array:
        """Return (1 − E a) √(q/(2π))."""
        return self.evaluation.mean(q)

    def second_moment(self, q: ArrayLike) -> Array:
        """Return q (1 + E a²)/2."""
        return as_variance(q) * self.slope_moment(q)

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return (1 + E a²)/2."""
        square = (self.lower**2 + self.lower * self.upper + self.upper**2) / 3
        return np.full_like(as_variance(q), (1 + square) / 2)

    def growth(self, q: ArrayLike) -> Array:
        """Return (1 + E a²)/2."""
        return self.slope_moment(q)

    def covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ(u) φ(v) for independent slopes."""
        return self.evaluation.covariance(q, c)

    def slope_covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ'(u) φ'(v) for independent slopes."""
        return self.evaluation.slope_covariance(q, c)


@dataclass(frozen=True)
class Maxout(Nonlinearity):
    """max(u_1, …, u_k) of independent pre-activations; ``value`` takes them on the last axis.

    E max² and E max are those of the largest of k normal numbers; for k = 2, E max² = q and E max = √(q/π), and with
    the max as half of sum and absolute difference E max max' = q [c/2 + (√(1 − c²) + c asin c)/π].
    The slope's moments are sums over the pieces: one of them has derivative 1, so E Σ (∂y/∂u_i)² = 1.
    Source: Goodfellow et al. 2013, arXiv:1302.4389; the order statistics are textbook.

    Attributes:
        name: of the function.
        pieces: k, 2 or more.
    """

    name: str = "maxout"
    pieces: int = 2

    def __post_init__(self) -> None:
        if self.pieces < 2:
            raise ValueError(f"maxout: pieces={self.pieces} must be 2 or more.")

    def value(self, x: ArrayLike) -> Array:
        """Return the maximum over the last axis, of length ``pieces``."""
        return np.asarray(x, dtype=np.float64).max(-1)

    def derivative(self, x: ArrayLike) -> Array:
        """Return ∂y/∂x, of the shape of ``x``: 1 at the first maximum of the last axis, 0 elsewhere."""
        array = np.asarray(x, dtype=np.float64)
        return (np.arange(array.shape[-1]) == array.argmax(-1)[..., None]).astype(np.float64)

    def mean(self, q: ArrayLike) -> Array:
        """Return √q · E max of ``pieces`` standard normal numbers."""
        return np.sqrt(as_variance(q)) * self._largest(1)

    def second_moment(self, q: ArrayLike) -> Array:
        """Return q · E max² of ``pieces`` standard normal numbers; q for two."""
        return as_variance(q) * self._largest(2)

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E Σ_i (∂y/∂u_i)² = 1."""
        return np.ones_like(as_variance(q))

    def growth(self, q: ArrayLike) -> Array:
        """Return E max² of standard normal numbers."""
        return np.full_like(as_variance(q), self._largest(2))

    def covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E y y' of two inputs whose pre-activations have correlation ``c``; two pieces only."""
        self._check_two()
        return as_variance(q) / 2 * (as_correlation(c) + absolute_covariance(c))

    def slope_covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return the chance that both inputs choose the same piece, ½ + asin(c)/π; two pieces only."""
        self._check_two()
        return (0.5 + np.arcsin(as_correlation(c)) / np.pi) * np.ones_like(as_variance(q))

    def _largest(self, power: int) -> float:
        k = self.pieces
        return float(expectation(lambda z: k * ndtr(z) ** (k - 1) * z**power, 1.0))

    def _check_two(self) -> None:
        if self.pieces != 2:
            raise ValueError(f"maxout: the covariance is known for 2 pieces, not for {self.pieces}.")
