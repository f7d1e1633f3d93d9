"""The border between the ordered and the chaotic phase in the plane of (σ_b, σ_w)."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from trainwell.theory.activation_moments import as_nonlinearity
from trainwell.theory.gaussian import Array
from trainwell.theory.gaussian_moments import Nonlinearity


def edge_of_chaos(activation: str | Nonlinearity, sigma_b: ArrayLike, *, largest: float = 64.0) -> Array:
    """Return the σ_w at which χ = 1 for each σ_b: the border between the phases; nan where there is none.

    Args:
        activation: name or nonlinearity.
        sigma_b: standard deviations of the biases.
        largest: up to which variance q* it is looked for.
    """
    function = as_nonlinearity(activation)

    def bias(q: float, sought: float) -> float:
        return q - float(function.second_moment(q) / function.slope_moment(q)) - sought**2

    grid = np.geomspace(1e-6, largest, 81)
    curve = grid - function.second_moment(grid) / function.slope_moment(grid)
    curve = np.where(np.abs(curve) <= 1e-13 * grid, 0.0, curve)
    sought = np.asarray(sigma_b, dtype=np.float64)
    result = np.full(sought.shape, np.nan)
    for place, value in enumerate(sought.flat):
        if value == 0 and (curve == 0).all():
            result.flat[place] = 1 / np.sqrt(function.slope_moment(1.0))
            continue
        signs = np.sign(curve - value**2)
        change = np.flatnonzero((signs[:-1] < 0) & (signs[1:] >= 0))
        if change.size:
            q = brentq(bias, grid[change[0]], grid[change[0] + 1], args=(value,), xtol=1e-300, rtol=1e-14)
            result.flat[place] = 1 / np.sqrt(function.slope_moment(q))
        elif value == 0 and function.value(0.0) == 0:
            result.flat[place] = 1 / np.sqrt(function.slope_moment(0.0))  # the edge ends where q* is 0
    return result
