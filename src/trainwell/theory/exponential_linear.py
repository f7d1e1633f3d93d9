"""Moments of ELU, SELU and CELU in closed form.

φ(x) = λ x for x > 0, λ α (e^{κx} − 1) below. With a = κ √(q/2) and erfcx(t) = e^{t²} erfc(t),

    E[e^{κx}; x < 0] = ½ erfcx(a),    E[e^{2κx}; x < 0] = ½ erfcx(2a),
    E φ² = λ² [q/2 + (α²/2)(erfcx(2a) − 2 erfcx(a) + 1)],    E φ'² = λ² [½ + (α²κ²/2) erfcx(2a)].

For small a the differences are summed as series, since erfcx(t) = Σ (−t)ⁿ / Γ(n/2 + 1) and the first terms cancel.
Source: Clevert et al. 2016, arXiv:1511.07289 (ELU); Klambauer et al. 2017, arXiv:1706.02515, eq. 2–5 (SELU, its λ and
α make mean 0 and variance 1 a fixed point); Barron 2017, arXiv:1704.07483 (CELU).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import erfcx, gamma, log_ndtr, ndtr

from trainwell.theory.gaussian import Array, as_variance
from trainwell.theory.gaussian_moments import Nonlinearity

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946

_POWERS = np.arange(2, 42)
_SERIES = (-1.0) ** _POWERS / gamma(_POWERS / 2 + 1)


@dataclass(frozen=True)
class ExponentialLinear(Nonlinearity):
    """scale · x above zero, scale · alpha · (e^{rate · x} − 1) below.

    Attributes:
        name: of the function.
        alpha: minus its limit at −∞, before the scale; above 0.
        scale: λ; 1 but for SELU.
        rate: κ; 1 but for CELU, where it is 1/α.
    """

    name: str = "elu"
    alpha: float = 1.0
    scale: float = 1.0
    rate: float = 1.0
    kinks: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        if not (self.alpha > 0 and self.rate > 0):
            raise ValueError(f"{self.name}: alpha={self.alpha} and rate={self.rate} must be above 0.")

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        array = np.asarray(x, dtype=np.float64)
        return self.scale * np.where(array > 0, array, self.alpha * np.expm1(self.rate * np.minimum(array, 0)))

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise; at zero the left side's."""
        array = np.asarray(x, dtype=np.float64)
        below = self.alpha * self.rate * np.exp(self.rate * np.minimum(array, 0))
        return self.scale * np.where(array > 0, 1.0, below)

    def mean(self, q: ArrayLike) -> Array:
        """Return E φ(u), u ~ N(0, q)."""
        a = self._argument(q)
        first = a / np.sqrt(np.pi) * (1 / self.rate - self.alpha)
        return self.scale * (first + self.alpha / 2 * _beyond_linear(a, 1.0, 0.0))

    def second_moment(self, q: ArrayLike) -> Array:
        """Return E φ(u)², u ~ N(0, q)."""
        below = self.alpha**2 / 2 * _beyond_linear(self._argument(q), 2.0, 2.0)
        return self.scale**2 * (as_variance(q) / 2 + below)

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E φ'(u)², u ~ N(0, q)."""
        below = (self.alpha * self.rate) ** 2 / 2 * erfcx(2 * self._argument(q))
        return self.scale**2 * (0.5 + below)

    def growth(self, q: ArrayLike) -> Array:
        """Return d/dq E φ(u)² = E φ'² + E φ φ''."""
        a = self._argument(q)
        below = (self.alpha * self.rate) ** 2 / 2 * (2 * erfcx(2 * a) - erfcx(a))
        return self.scale**2 * (0.5 + below)

    def _argument(self, q: ArrayLike) -> Array:
        return self.rate * np.sqrt(as_variance(q) / 2)

    def _blurred(self, mean: Array, std: float) -> Array:
        s = max(std, 1e-300)
        with np.errstate(over="ignore", under="ignore"):
            t = mean / s
            above = mean * ndtr(t) + s * np.exp(-t * t / 2) / np.sqrt(2 * np.pi)
            return self.scale * (above + self.alpha * (self._tilted(mean, s) - ndtr(-t)))

    def _blurred_slope(self, mean: Array, std: float) -> Array:
        s = max(std, 1e-300)
        with np.errstate(over="ignore", under="ignore"):
            return self.scale * (ndtr(mean / s) + self.alpha * self.rate * self._tilted(mean, s))

    def _tilted(self, mean: Array, std: float) -> Array:
        """Return E[e^{κx}; x < 0], x ~ N(m, s²) = e^{κm + κ²s²/2} Φ(−(m + κs²)/s)."""
        k = self.rate
        return np.exp(k * mean + (k * std) ** 2 / 2 + log_ndtr(-(mean + k * std**2) / std))


def _beyond_linear(a: Array, base: float, subtract: float) -> Array:
    """Return erfcx(base · a) − subtract · erfcx(a) + subtract − 1 without what is linear in a.

    (2, 2) has nothing linear: erfcx(2a) − 2 erfcx(a) + 1. (1, 0) is erfcx(a) − 1 + 2a/√π.
    """
    series = np.minimum(a, 0.5)[..., None] ** _POWERS @ (_SERIES * (base**_POWERS - subtract))
    linear = (base - subtract) * 2 * a / np.sqrt(np.pi)
    direct = erfcx(base * a) - subtract * erfcx(a) + subtract - 1 + linear
    return np.where(a <= 0.5, series, direct)
