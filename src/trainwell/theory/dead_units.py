"""How likely a ReLU unit is dead at initialization: never active on the data, so that its gradient is 0 for ever.

P(w·x_i + b ≤ 0 for all N inputs) = Φ(−b/s)^N for independent pre-activations N(b, s²). A step that moves the bias by
some −4 s kills a unit. Leaky ReLU and ELU have no such state. Claim S20 (decks M, R).
Sources: Maas, Hannun & Ng 2013; Lu et al. 2019, arXiv:1903.06733.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr

from trainwell.theory.gaussian import Array


def dead_chance(bias: ArrayLike, samples: int) -> Array:
    """Return Φ(−b/s)^N, the chance that a ReLU unit is never active on N inputs.

    Args:
        bias: b/s, the mean pre-activation over its standard deviation.
        samples: N.

    Example:
        >>> dead_chance([-3.0, -4.0], 1000).round(3).tolist()
        [0.259, 0.969]
    """
    return np.exp(samples * log_ndtr(-np.asarray(bias, dtype=np.float64)))
