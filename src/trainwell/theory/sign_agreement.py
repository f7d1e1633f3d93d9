"""How many of a unit's weight gradients share one sign.

∂L/∂w = δ x for one example: for x > 0 every entry has the sign of δ. For d inputs of independent random signs the
larger group has a mean share of ½ + E|Bin(d, ½) − d/2|/d. Claim S15 (deck R).
Source: LeCun et al. 1998, "Efficient BackProp" §4.3.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import gammaln

from trainwell.theory.gaussian import Array


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
