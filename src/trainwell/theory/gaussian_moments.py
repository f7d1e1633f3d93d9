"""A nonlinearity as mean field theory sees it: what it does to the moments of Gaussian pre-activations.

With u, v ~ N(0, q) of correlation c:

    mean(q)            E φ(u)
    second_moment(q)   E φ(u)²           forward: q_{l+1} = σ_w² E φ² + σ_b²
    slope_moment(q)    E φ'(u)²          backward: χ = σ_w² E φ'²
    growth(q)          d/dq E φ(u)²      how fast q converges
    covariance(q, c)   E φ(u) φ(v)       how two inputs come closer or part
    slope_covariance   E φ'(u) φ'(v) = (1/q) d/dc E φ(u) φ(v)

Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array, Function, as_variance, blurred, expectation, nodes


class Nonlinearity:
    """A scalar function with its derivative; moments by quadrature, where a subclass has no closed form.

    Attributes:
        name: as in ``trainwell.theory.NONLINEARITIES``.
        kinks: where it or its derivative jumps.
    """

    name: str
    kinks: tuple[float, ...]

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        raise NotImplementedError

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise; at a kink one of the two sides."""
        raise NotImplementedError

    def mean(self, q: ArrayLike) -> Array:
        """Return E φ(u), u ~ N(0, q)."""
        return expectation(self.value, q, self.kinks)

    def second_moment(self, q: ArrayLike) -> Array:
        """Return E φ(u)², u ~ N(0, q)."""
        return expectation(lambda x: self.value(x) ** 2, q, self.kinks)

    def slope_moment(self, q: ArrayLike) -> Array:
        """Return E φ'(u)², u ~ N(0, q)."""
        return expectation(lambda x: self.derivative(x) ** 2, q, self.kinks)

    def growth(self, q: ArrayLike) -> Array:
        """Return d/dq E φ(u)² = E u φ(u) φ'(u) / q for q > 0 (φ continuous)."""
        return expectation(lambda x: x * self.value(x) * self.derivative(x), q, self.kinks) / as_variance(q)

    def covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ(u) φ(v) for u, v ~ N(0, q) of correlation ``c`` in [−1, 1]; to rounding for q up to 10⁴."""
        return self._pair(self.value, self._blurred, q, c)

    def slope_covariance(self, q: ArrayLike, c: ArrayLike) -> Array:
        """Return E φ'(u) φ'(v) for u, v ~ N(0, q) of correlation ``c`` in [−1, 1]."""
        return self._pair(self.derivative, self._blurred_slope, q, c)

    def _blurred(self, mean: Array, std: float) -> Array:
        """Return E φ(m + s z), z ~ N(0, 1), for each m."""
        raise NotImplementedError

    def _blurred_slope(self, mean: Array, std: float) -> Array:
        """Return E φ'(m + s z), z ~ N(0, 1), for each m."""
        raise NotImplementedError

    def _pair(self, outer: Function, inner: Callable[[Array, float], Array], q: ArrayLike, c: ArrayLike) -> Array:
        """Integrate over u the outer function times the inner one's conditional mean, v | u ~ N(c u, q(1 − c²))."""
        variances, correlations = np.broadcast_arrays(as_variance(q), as_correlation(c))
        result = np.empty(variances.shape)
        for place, (variance, correlation) in enumerate(zip(variances.flat, correlations.flat, strict=True)):
            z, weight = nodes(variance, self.kinks, 1e-8 if self.kinks else 1.0)
            u = np.sqrt(variance) * z
            std = float(np.sqrt(variance * max(0.0, (1 - correlation) * (1 + correlation))))
            result.flat[place] = weight @ (outer(u) * inner(correlation * u, std))
        return result


def as_correlation(c: ArrayLike) -> Array:
    """Return ``c`` as float64.

    Raises:
        ValueError: if a correlation is outside [−1, 1].
    """
    array = np.asarray(c, dtype=np.float64)
    if not (np.abs(array) <= 1).all():
        raise ValueError(f"A correlation lies in [−1, 1], but c={c!r}.")
    return array


@dataclass(frozen=True)
class Smooth(Nonlinearity):
    """An analytic function.

    Attributes:
        name: of the function.
        function: φ.
        slope: φ'.
        width: how far from the real axis it is analytic; at most 2.
        kinks: none.
    """

    name: str
    function: Function = field(repr=False)
    slope: Function = field(repr=False)
    width: float = np.pi / 2
    kinks: tuple[float, ...] = ()

    def value(self, x: ArrayLike) -> Array:
        """Return φ(x), elementwise."""
        return self.function(np.asarray(x, dtype=np.float64))

    def derivative(self, x: ArrayLike) -> Array:
        """Return φ'(x), elementwise."""
        return self.slope(np.asarray(x, dtype=np.float64))

    def _blurred(self, mean: Array, std: float) -> Array:
        return blurred(self.value, mean, std, self.width)

    def _blurred_slope(self, mean: Array, std: float) -> Array:
        return blurred(self.derivative, mean, std, self.width)
