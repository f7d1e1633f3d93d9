"""Mean field theory of wide random networks: variance map, correlation map, their fixed points, the edge of chaos.

Weights N(0, σ_w²/fan_in), biases N(0, σ_b²), width → ∞. Pre-activations are normal, with

    q_{l+1} = V(q_l) = σ_w² E φ(u)² + σ_b²,              u ~ N(0, q_l),
    c_{l+1} = (σ_w² E φ(u) φ(v) + σ_b²)/q*,              u, v ~ N(0, q*) of correlation c_l,
    χ = σ_w² E φ'(u)²  at q*:   second moment of the gradient, per layer; slope of the correlation map at c = 1,
    ξ_q = −1/ln|V'(q*)|,   ξ_c = −1/ln(σ_w² E φ'(u) φ'(v)) at c*:   layers in which a deviation shrinks to 1/e.

χ < 1 is the ordered phase (inputs become alike, gradients vanish), χ > 1 the chaotic one (inputs part, gradients
explode), χ = 1 the edge of chaos, where both depth scales are infinite.
Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232, eq. 3–10.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from trainwell.theory.activation_moments import as_nonlinearity
from trainwell.theory.gaussian import Array
from trainwell.theory.gaussian_moments import Nonlinearity

_LARGEST = 1e4  # a fixed point beyond it counts as none: q → ∞
_SMALLEST = 1e-12  # and below it as 0


@dataclass(frozen=True)
class MeanField:
    """What theory says of a deep, wide net of one nonlinearity.

    Attributes:
        q: fixed point of the variance; 0 if the signal dies, inf if it explodes.
        chi: factor on the gradient's second moment per layer, at q.
        xi_q: depth scale of the variance, in layers; 0 where it is there after one layer, inf where it never is.
        c: stable fixed point of the correlation; nan where q is 0 or infinite.
        xi_c: depth scale of the correlation, in layers; nan where ``c`` is.
        phase: ``ordered``, ``critical`` (|χ − 1| ≤ 1e-6) or ``chaotic``.
    """

    q: float
    chi: float
    xi_q: float
    c: float
    xi_c: float
    phase: str


def variance_map(activation: str | Nonlinearity, q: ArrayLike, sigma_w: ArrayLike, sigma_b: ArrayLike) -> Array:
    """Return σ_w² E φ(u)² + σ_b², u ~ N(0, q): the variance of the next layer's pre-activations."""
    return np.square(sigma_w) * as_nonlinearity(activation).second_moment(q) + np.square(sigma_b)


def gradient_factor(activation: str | Nonlinearity, q: ArrayLike, sigma_w: ArrayLike) -> Array:
    """Return χ(q) = σ_w² E φ'(u)², u ~ N(0, q): the gradient's second moment per layer of equal widths."""
    return np.square(sigma_w) * as_nonlinearity(activation).slope_moment(q)


def correlation_map(
    activation: str | Nonlinearity,
    c: ArrayLike,
    q: float,
    sigma_w: float,
    sigma_b: float,
    *,
    after: float | None = None,
) -> Array:
    """Return the correlation of the next layer's pre-activations of two inputs of correlation ``c``.

    Args:
        activation: name or nonlinearity.
        c: correlations in [−1, 1].
        q: variance of both pre-activations, above 0.
        sigma_w: standard deviation of √fan_in · weight.
        sigma_b: of the biases.
        after: variance of the next layer; that of the variance map at ``q`` if None.
    """
    function = as_nonlinearity(activation)
    nearby = sigma_w**2 * function.covariance(q, c) + sigma_b**2
    return nearby / (variance_map(function, q, sigma_w, sigma_b) if after is None else after)


def fixed_variance(activation: str | Nonlinearity, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """Return q* = V(q*), to which the variance flows from ``start``.

    Args:
        activation: name or nonlinearity.
        sigma_w: standard deviation of √fan_in · weight, 0 or above.
        sigma_b: of the biases, 0 or above.
        start: variance of the first layer, above 0; it decides only where there are several fixed points: the
            first one on the way is returned, ``start`` itself where every q is one (ReLU at √2).

    Returns:
        q*; 0.0 if the flow ends below 1e-12, inf if it passes 1e4.
    """
    _check_scales(sigma_w, sigma_b)
    function = as_nonlinearity(activation)

    def drift(q: float) -> float:
        return float(variance_map(function, q, sigma_w, sigma_b)) - q

    first = drift(start)
    if abs(first) <= 1e-13 * start:
        return start
    factor, here = (2**0.5 if first > 0 else 2**-0.5), start
    while _SMALLEST < here < _LARGEST:
        there = here * factor
        if drift(there) * first <= 0:
            return float(brentq(drift, min(here, there), max(here, there), xtol=1e-300, rtol=1e-14))
        here = there
    return float("inf") if first > 0 else 0.0


def fixed_correlation(activation: str | Nonlinearity, q: float, sigma_w: float, sigma_b: float) -> float:
    """Return the largest stable fixed point c* of the correlation map at the fixed variance ``q``.

    1 where the map's slope there is at most 1 (and it maps 1 to itself), else the next one below.
    """
    function = as_nonlinearity(activation)

    def drift(c: float) -> float:
        return float(correlation_map(function, c, q, sigma_w, sigma_b)) - c

    top = 1.0
    if abs(drift(1.0)) <= 1e-12:
        if float(gradient_factor(function, q, sigma_w)) <= 1 + 1e-9 and drift(1 - 1e-6) >= -1e-13:
            return 1.0
        top = 1 - 1e-9
    for low in np.concatenate([1 - np.geomspace(1e-8, 1.0, 33), np.linspace(-0.05, -1, 20)]):
        if drift(low) >= 0:
            return float(brentq(drift, low, top, xtol=1e-14)) if drift(top) < 0 else 1.0
        top = float(low)
    return -1.0


def mean_field_at(activation: str | Nonlinearity, sigma_w: float, sigma_b: float, start: float = 1.0) -> MeanField:
    """Return fixed points, χ and depth scales at (σ_w, σ_b).

    Args:
        activation: name or nonlinearity.
        sigma_w: standard deviation of √fan_in · weight, 0 or above.
        sigma_b: of the biases, 0 or above.
        start: variance of the first layer, see ``fixed_variance``.

    Example:
        >>> mean_field_at("tanh", 1.0, 0.05**0.5).phase
        'ordered'
    """
    function = as_nonlinearity(activation)
    q = fixed_variance(function, sigma_w, sigma_b, start)
    at = min(max(q, _SMALLEST), _LARGEST)
    chi = float(gradient_factor(function, at, sigma_w))
    phase = "critical" if abs(chi - 1) <= 1e-6 else "ordered" if chi < 1 else "chaotic"
    growth = sigma_w**2 * float(function.growth(at))
    if q in (0.0, float("inf")):
        return MeanField(q, chi, depth_scale(growth), float("nan"), float("nan"), phase)
    c = fixed_correlation(function, q, sigma_w, sigma_b)
    slope = sigma_w**2 * float(function.slope_covariance(q, c))
    return MeanField(q, chi, depth_scale(growth), c, depth_scale(slope), phase)


def depth_scale(factor: float) -> float:
    """Return −1/ln|factor|: after how many layers a deviation multiplied by ``factor`` per layer falls to 1/e.

    0 for factor 0; inf for a factor of 1 (within 1e-9) or above, where it does not fall.
    """
    size = abs(factor)
    if size == 0:
        return 0.0
    return -1 / float(np.log(size)) if size < 1 - 1e-9 else float("inf")


def _check_scales(sigma_w: float, sigma_b: float) -> None:
    if not (np.isfinite(sigma_w) and np.isfinite(sigma_b) and sigma_w >= 0 and sigma_b >= 0):
        raise ValueError(f"σ_w={sigma_w} and σ_b={sigma_b} must be finite and not negative.")
