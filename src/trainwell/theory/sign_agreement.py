"""How many of a unit's weight gradients share one sign.

∂L/∂w = δ x for one example: for x > 0 every entry has the sign of δ. For d inputs of independent random signs the
larger group has a mean share of ½ + E|Bin(d, ½) − d/2|/d. In the sum over a batch the signs of δ partly cancel, and for
x ~ U(0, 1) the share falls towards ½ + arctan(√3)/π = 5/6. Claim S15 (deck R).
Source: LeCun et al. 1998, "Efficient BackProp" §4.3.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln, ndtr, xlogy

from trainwell.theory.gaussian import Array

ANGLES = 2000  # of the quadrature, whose integrand is smooth and vanishes at both ends


def majority_share(inputs: ArrayLike) -> Array:
    """Return ½ + E|Bin(d, ½) − d/2|/d, the mean share of entries that have the more frequent of two random signs.

    With E|Bin(d, ½) − d/2| = ⌈d/2⌉ C(d, ⌈d/2⌉)/2^d (de Moivre).

    Args:
        inputs: d, 1 or more.

    Example:
        >>> majority_share([20, 100]).round(3).tolist()
        [0.588, 0.54]
    """
    d = np.asarray(inputs, dtype=np.float64)
    k = np.ceil(d / 2)
    return 0.5 + k / d * np.exp(gammaln(d + 1) - gammaln(k + 1) - gammaln(d - k + 1) - d * np.log(2))


def batch_majority_share(inputs: int, batch: int) -> float:
    """Return the mean share of the more frequent sign in Σ_i δ_i x_i for x ~ U(0, 1)^d and δ ~ N(0, 1).

    Given δ, the entries are independent and nearly N(½ Σδ_i, Σδ_i²/12), above 0 with p = Φ(√3 t) where
    t = Σδ_i/√Σδ_i² = √n cos θ, θ the angle between δ and the ones, of density ∝ sin^(n−2) θ. The share is
    E max(k, d − k)/d, k ~ Bin(d, p). Its limit for many inputs and samples is 5/6.

    Args:
        inputs: d, 1 or more.
        batch: n, from some 8 on, so that a sum of n uniform numbers is nearly normal.

    Raises:
        ValueError: for less than one input or two samples.

    Example:
        >>> round(batch_majority_share(100, 32), 4), round(batch_majority_share(10_000, 1000), 4)
        (0.8375, 0.8335)
    """
    if inputs < 1 or batch < 2:
        raise ValueError(f"batch_majority_share: inputs={inputs}, batch={batch}. Give at least 1 and 2.")
    angles = (np.arange(ANGLES) + 0.5) * math.pi / ANGLES
    weights = np.exp((batch - 2) * np.log(np.sin(angles)))
    above = ndtr((3 * batch) ** 0.5 * np.cos(angles))
    share = np.zeros(ANGLES)
    for k in range(inputs + 1):
        patterns = gammaln(inputs + 1) - gammaln(k + 1) - gammaln(inputs - k + 1)
        chance = np.exp(patterns + xlogy(k, above) + xlogy(inputs - k, 1 - above))
        share += max(k, inputs - k) / inputs * chance
    return float(share @ weights / weights.sum())
