"""The edge of chaos at a given variance: where gradients neither vanish nor explode with depth.

χ = 1 and q = V(q) are two equations for two unknowns (``trainwell.theory.mean_field`` defines χ and V), linear in σ_w²
and σ_b². Whatever the activation, they are solved exactly by two Gaussian moments.
"""

from typing import NamedTuple

import numpy as np

from trainwell.theory.activation_moments import as_nonlinearity
from trainwell.theory.gaussian_moments import Nonlinearity


class CriticalPoint(NamedTuple):
    """Standard deviations at the edge of chaos: of √fan_in · weight, and of the biases."""

    sigma_w: float
    sigma_b: float


def critical(activation: str | Nonlinearity, q: float | None = None) -> CriticalPoint:
    """Return (σ_w, σ_b) on the edge of chaos whose fixed variance is ``q``.

        σ_w² = 1/E φ'(u)²,    σ_b² = q − σ_w² E φ(u)²,    u ~ N(0, q).

    Scale-invariant functions have one such point for all q: ReLU (√2, 0). For a smaller q more of a tanh's units are
    in its linear part, and deep nets keep their singular values closer together.

    Args:
        activation: name or nonlinearity.
        q: variance of the pre-activations, above 0; if None, the first of 1, 2, 4, …, 256 that has an edge and to
            which the variance returns after a small deviation, V'(q) ≤ 1. (For GELU, SiLU and Mish it runs away from
            q = 1: their V' is 1.07, 1.10 and 1.02 there.)

    Raises:
        ValueError: if there is none, since σ_b² would be negative (softplus has none at any q, sigmoid none below 45).

    Example:
        >>> [round(x, 5) for x in critical("hard_tanh", 0.1)]
        [1.00078, 0.01161]

    Source: Schoenholz et al. 2017, arXiv:1611.01232, §3; Pennington et al. 2017, arXiv:1711.04735, §2.2.
    """
    function = as_nonlinearity(activation)
    if q is not None and not (np.isfinite(q) and q > 0):
        raise ValueError(f"critical: q={q} must be finite and above 0.")
    tried = 2.0 ** np.arange(9) if q is None else np.array([float(q)])
    weight = 1 / function.slope_moment(tried)
    bias = tried - weight * function.second_moment(tried)
    bias = np.where(np.abs(bias) <= 1e-13 * tried, 0.0, bias)
    stable = np.ones_like(tried, dtype=bool) if q is not None else weight * function.growth(tried) <= 1 + 1e-9
    found = np.flatnonzero((bias >= 0) & stable)
    if not found.size:
        where = f"q={q:g}" if q is not None else "any q of 1, 2, 4, …, 256"
        raise ValueError(
            f"critical: {function.name} has no edge of chaos at {where}: σ_b² = q − E φ²/E φ'² is {bias[0]:.4g} and "
            "must not be below 0. Use another q or another activation."
        )
    place = found[0]
    return CriticalPoint(float(np.sqrt(weight[place])), float(np.sqrt(bias[place])))
