"""The analytic nonlinearities: sigmoid, tanh, softplus, SiLU, Mish by quadrature, GELU's moments in closed form.

GELU is x Φ(x). With r = 1 + q and t = √(1 + 2q),

    E φ² = q/4 + (q/2π) [2q/(r t) + asin(q/r)],    E φ = q/√(2πr),
    E φ'² = ¼ + asin(q/r)/(2π) + q/(π r t) + q/(2π t³).

Source: Hendrycks & Gimpel 2016, arXiv:1606.08415 (GELU); Tsuchida et al. 2021, arXiv:2002.08517 (its kernel);
Elfwing et al. 2018, arXiv:1702.03118 (SiLU); Misra 2019, arXiv:1908.08681 (Mish).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit, ndtr

from trainwell.theory.gaussian import Array, as_variance, blurred
from trainwell.theory.gaussian_moments import Nonlinearity, Smooth


def sigmoid() -> Smooth:
    """Return 1/(1 + e^{−x})."""
    return Smooth("sigmoid", expit, lambda x: expit(x) * expit(-x))


def tanh() -> Smooth:
    """Return tanh x."""
    return Smooth("tanh", np.tanh, lambda x: 4 * expit(2 * x) * expit(-2 * x))


def softplus(beta: float = 1.0) -> Smooth:
    """Return log(1 + e^{βx})/β; torch's is x itself above βx = 20, which is at most 2.1e-9/β less.

    Raises:
        ValueError: unless ``beta`` is above 0.
    """
    if not beta > 0:
        raise ValueError(f"softplus: beta={beta} must be above 0.")
    width = min(np.pi / 2, np.pi / beta)
    return Smooth("softplus", lambda x: np.logaddexp(0.0, beta * x) / beta, lambda x: expit(beta * x), width)


def silu() -> Smooth:
    """Return x/(1 + e^{−x})."""
    return Smooth("silu", lambda x: x * expit(x), lambda x: expit(x) * (1 + x * expit(-x)))


def mish() -> Smooth:
    """Return x tanh(log(1 + e^x))."""

    def slope(x: Array) -> Array:
        inner = np.tanh(np.logaddexp(0.0, x))
        return inner + x * (1 - inner) * (1 + inner) * expit(x)

    return Smooth("mish", lambda x: x * np.tanh(np.logaddexp(0.0, x)), slope)


def gelu_by_tanh() -> Smooth:
    """Return torch's approximation ½ x (1 + tanh(√(2/π)(x + 0.044715 x³)))."""
    factor, cubic = np.sqrt(2 / np.pi), 0.044715

    def slope(x: Array) -> Array:
        inner = np.tanh(factor * (x + cubic * x**3))
        return 0.5 * (1 + inner + x * (1 - inner) * (1 + inner) * factor * (1 + 3 * cubic * x**2))

    return Smooth("gelu", lambda x: 0.5 * x * (1 + np.tanh(factor * (x + cubic * x**3))), slope, 1.0)


@dataclass(frozen=True)
class GELU(Nonlinearity):
    """x Φ(x), with Φ the normal distribution function."""

    name: str = "gelu"
    kinks: tuple[float, ...] = ()

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        array = np.asarray(x, dtype=np.float64)
        return array * ndtr(array)

    def derivative(self, x: ArrayLike) -> Array:
        """Return Φ(x) + x ϕ(x), elementwise."""
        array = np.asarray(x, dtype=np.float64)
        return ndtr(array) + array * np.exp(-array * array / 2) / np.sqrt(2 * np.pi)

    def mean(self, q: ArrayLike) -> Array:
        """Return q/√(2π(1 + q))."""
        variance = as_variance(q)
        return variance / np.sqrt(2 * np.pi * (1 + variance))

    def second_moment(self, q: ArrayLike) -> Array:
        """Return E φ(u)², u ~ N(0, q)."""
        variance = as_variance(q)
        r, t = 1 + variance, np.sqrt(1 + 2 * variance)
        return variance / 4 + variance / (2 * np.pi) * (2 * variance / (r * t) + np.arcsin(variance / r))

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E φ'(u)², u ~ N(0, q)."""
        variance = as_variance(q)
        r, t = 1 + variance, np.sqrt(1 + 2 * variance)
        cross = variance / (np.pi * r * t) + variance / (2 * np.pi * t**3)
        return 0.25 + np.arcsin(variance / r) / (2 * np.pi) + cross

    def _blurred(self, mean: Array, std: float) -> Array:
        return blurred(self.value, mean, std, 1.0)

    def _blurred_slope(self, mean: Array, std: float) -> Array:
        return blurred(self.derivative, mean, std, 1.0)
