"""Moments of piecewise linear nonlinearities in closed form: hard tanh, shifted ReLU, ReLU6, clipped ones, sign.

Between two knots φ(x) = a x + b, so every moment is a sum over pieces of truncated normal moments,

    P = Φ(β) − Φ(α),    E[x; piece] = m P + s (ϕ(α) − ϕ(β)),    E[x²; piece] = s² (P + α ϕ(α) − β ϕ(β)) for m = 0

with α, β the ends of the piece as (x − m)/s. For the hard tanh, E φ'² = erf(1/√(2q)).
Source: Pennington et al. 2017, arXiv:1711.04735, §2.5 (hard tanh).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr

from trainwell.theory.gaussian import Array, as_variance
from trainwell.theory.gaussian_moments import Nonlinearity, as_correlation


@dataclass(frozen=True)
class PiecewiseLinear(Nonlinearity):
    """φ(x) = slopes[i] · x + intercepts[i] between kinks[i − 1] and kinks[i]; continuous.

    Attributes:
        name: of the function.
        kinks: increasing.
        slopes: one more than kinks.
        intercepts: one more than kinks.
    """

    name: str
    kinks: tuple[float, ...]
    slopes: tuple[float, ...]
    intercepts: tuple[float, ...]

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        array, piece = self._pieces(x)
        slope = np.asarray(self.slopes)[piece]
        return np.where(slope == 0, 0.0, slope * array) + np.asarray(self.intercepts)[piece]

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise; at a kink the right side's."""
        return np.asarray(self.slopes)[self._pieces(x)[1]]

    def mean(self, q: ArrayLike) -> Array:
        """Return E φ(u), u ~ N(0, q)."""
        share, first, _ = self._truncated(np.zeros(()), np.sqrt(as_variance(q)))
        return first @ np.asarray(self.slopes) + share @ np.asarray(self.intercepts)

    def second_moment(self, q: ArrayLike) -> Array:
        """Return E φ(u)², u ~ N(0, q)."""
        a, b = np.asarray(self.slopes), np.asarray(self.intercepts)
        share, first, second = self._truncated(np.zeros(()), np.sqrt(as_variance(q)))
        return second @ a**2 + 2 * first @ (a * b) + share @ b**2

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E φ'(u)², u ~ N(0, q)."""
        return self._truncated(np.zeros(()), np.sqrt(as_variance(q)))[0] @ np.asarray(self.slopes) ** 2

    def growth(self, q: ArrayLike) -> Array:
        """Return d/dq E φ(u)² for q > 0."""
        a, b = np.asarray(self.slopes), np.asarray(self.intercepts)
        _, first, second = self._truncated(np.zeros(()), np.sqrt(as_variance(q)))
        return (second @ a**2 + first @ (a * b)) / as_variance(q)

    def _pieces(self, x: ArrayLike) -> tuple[Array, np.ndarray]:
        array = np.asarray(x, dtype=np.float64)
        return array, np.searchsorted(np.asarray(self.kinks), array, side="right")

    def _truncated(self, mean: Array, std: Array) -> tuple[Array, Array, Array]:
        """Return P, E[x; piece] and E[x²; piece] (the last for mean 0 only), the pieces on the last axis."""
        ends = np.array([-np.inf, *self.kinks, np.inf])
        s = np.maximum(std, 1e-300)[..., None]
        with np.errstate(over="ignore"):
            t = (ends - mean[..., None]) / s
        flipped = t[..., :-1] > 0  # Φ(β) − Φ(α) = Φ(−α) − Φ(−β), exact in the upper tail
        low, high = np.where(flipped, -t[..., 1:], t[..., :-1]), np.where(flipped, -t[..., :-1], t[..., 1:])
        share = ndtr(high) - ndtr(low)
        with np.errstate(invalid="ignore", over="ignore"):
            density = np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
            moment = np.where(np.isfinite(t) & (density > 0), t * density, 0.0)
        first = mean[..., None] * share - s * np.diff(density, axis=-1)
        return share, first, s**2 * (share - np.diff(moment, axis=-1))

    def _blurred(self, mean: Array, std: float) -> Array:
        share, first, _ = self._truncated(mean, np.asarray(std))
        return first @ np.asarray(self.slopes) + share @ np.asarray(self.intercepts)

    def _blurred_slope(self, mean: Array, std: float) -> Array:
        return self._truncated(mean, np.asarray(std))[0] @ np.asarray(self.slopes)


def hard_tanh(low: float = -1.0, high: float = 1.0) -> PiecewiseLinear:
    """Return clamp(x, low, high).

    Raises:
        ValueError: unless low < high.
    """
    if not low < high:
        raise ValueError(f"hard_tanh: low={low} must be below high={high}.")
    return PiecewiseLinear("hard_tanh", (low, high), (0.0, 1.0, 0.0), (low, 0.0, high))


def shifted_relu() -> PiecewiseLinear:
    """Return max(x, −1)."""
    return PiecewiseLinear("shifted_relu", (-1.0,), (0.0, 1.0), (-1.0, 0.0))


@dataclass(frozen=True)
class Sign(Nonlinearity):
    """Sign forward, with the straight-through derivative 1[|x| ≤ 1] backward.

    E φ(u) φ(v) = (2/π) asin c is that of sign, whose own slope in c is infinite at c = 1: two inputs part however close
    they are. The slope's moments are those of the backward pass, so ``slope_covariance`` is no derivative here.
    Source: Bengio et al. 2013, arXiv:1308.3432; Courbariaux et al. 2016, arXiv:1602.02830, eq. 4.
    """

    name: str = "sign"
    kinks: tuple[float, ...] = (-1.0, 0.0, 1.0)

    def value(self, x: ArrayLike) -> Array:
        """Return 1 for x ≥ 0, −1 otherwise."""
        return np.where(np.asarray(x, dtype=np.float64) >= 0, 1.0, -1.0)

    def derivative(self, x: ArrayLike) -> Array:
        """Return 1 where |x| ≤ 1, 0 otherwise."""
        return (np.abs(np.asarray(x, dtype=np.float64)) <= 1).astype(np.float64)

    def mean(self, q: ArrayLike) -> Array:
        """Return 0."""
        return np.zeros_like(as_variance(q))

    def second_moment(self, q: ArrayLike) -> Array:
        """Return 1."""
        return np.ones_like(as_variance(q))

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return erf(1/√(2q)), of the straight-through derivative."""
        return hard_tanh().slope_moment(q)

    def growth(self, q: ArrayLike) -> Array:
        """Return 0."""
        return np.zeros_like(as_variance(q))

    def covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return (2/π) asin c."""
        return 2 / np.pi * np.arcsin(as_correlation(c)) * np.ones_like(as_variance(q))

    def slope_covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ'(u) φ'(v) of the straight-through derivative."""
        return hard_tanh().slope_covariance(q, c)
