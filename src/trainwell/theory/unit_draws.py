"""Values of one unit under several samples and places, for moments that have no closed form.

A normal pre-activation z of sample s at place p, over units, has E z² = m, E z_p z_p' = a (two places of a sample),
E z_s z_s' = k (two unrelated samples, the same place) and mean μ. It is drawn as

    z = μ + √u ξ + √(a − μ² − u) ξ_s + √(k − μ² − u) ξ_p + √e ξ_sp,    u = min(a, k) − μ²,  e what is left of m,

with independent ξ ~ N(0, 1): each takes the quantiles of the normal law in random order (Latin hypercube: McKay et al.
1979), so that moments err by far less than 1/√units. The draws belong to the node's number, the sample and the
place: the same values appear wherever the same unit is read.
"""

from functools import lru_cache

import numpy as np
from scipy.special import ndtri

from trainwell.theory.gaussian import Array

Design = tuple[tuple[int, int], ...]
"""(sample, place) of each row that is wanted."""

PAIRED: Design = ((0, 0), (0, 1), (1, 0))
"""A unit, the same at another place, and the same for another sample."""
_MOST, _LEAST = 2**15, 2**11


def units_for(design: Design) -> int:
    """How many units to draw: fewer where there are many places."""
    return max(_LEAST, _MOST * 4 // max(4, len(design)) // 2 * 2)


def normal_draws(number: int, moments: tuple[float, float, float, float], design: Design, units: int) -> Array:
    """Return normal values, shape (rows of the design, units).

    Args:
        number: of the node; other numbers give independent values.
        moments: m, a, k and μ.
        design: rows.
        units: how many.
    """
    m, a, k, mean = moments
    square = mean * mean
    shared = max(0.0, min(a, k) - square)
    of_sample, of_place = max(0.0, a - square - shared), max(0.0, k - square - shared)
    own = max(0.0, m - square - shared - of_sample - of_place)
    rows = np.full((len(design), units), mean)
    for variance, kind in ((shared, 0), (of_sample, 1), (of_place, 2), (own, 3)):
        if variance > 0:
            keys = [(s if kind in (1, 3) else 0, p if kind in (2, 3) else 0) for s, p in design]
            drawn = {key: variance**0.5 * _standard((number, kind, *key), units) for key in set(keys)}
            for row, key in zip(rows, keys, strict=True):
                row += drawn[key]
    return rows


def _standard(key: tuple[int, ...], units: int) -> Array:
    return np.random.default_rng(key).permutation(_quantiles(units))


@lru_cache(maxsize=8)
def _quantiles(units: int) -> Array:
    values: Array = ndtri((np.arange(units) + 0.5) / units)
    return values / np.sqrt(np.mean(values**2))
