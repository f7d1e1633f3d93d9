"""Var W of the common initializations of a layer with n inputs and n' outputs.

    rule            Var W           where from
    classical       1/(3n)          U[±1/√n], torch's default; Glorot & Bengio 2010, eq. 1
    fan_in          1/n             keeps E h² forward in a linear layer; LeCun et al. 1998, "Efficient BackProp" §4.6
    backward        1/n'            keeps E (∂L/∂h)² backward in a linear layer; Glorot & Bengio 2010, eq. 11
    xavier          2/(n + n')      between the two; Glorot & Bengio 2010, eq. 12
    kaiming         2/n             keeps E h² forward under ReLU; He et al. 2015, eq. 10, arXiv:1502.01852
    kaiming_out     2/n'            keeps E (∂L/∂h)² backward under ReLU; He et al. 2015, eq. 14
    geometric       2/√(n n')       equal weight-to-gradient ratios in all ReLU layers; Defazio & Bottou 2019,
                                    arXiv:1912.08987

With σ_w² = n · Var W. A uniform law on [−a, a] has variance a²/3. Claims S03, S05, S08, S19 (decks R, K, M, G, where G
prints 2/√n for 2/n and U[±1/n] for U[±1/√n]).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array

WEIGHT_VARIANCES: dict[str, Callable[[Array, Array], Array]] = {
    "classical": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "fan_in": lambda fan_in, fan_out: 1 / fan_in,
    "backward": lambda fan_in, fan_out: 1 / fan_out,
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "kaiming": lambda fan_in, fan_out: 2 / fan_in,
    "kaiming_out": lambda fan_in, fan_out: 2 / fan_out,
    "geometric": lambda fan_in, fan_out: 2 / np.sqrt(fan_in * fan_out),
}


def weight_variance(rule: str, fan_in: ArrayLike, fan_out: ArrayLike) -> Array:
    """Return Var W of a rule of ``WEIGHT_VARIANCES``, for one layer or many.

    Args:
        rule: its name.
        fan_in: n, 1 or more.
        fan_out: n', 1 or more.

    Raises:
        ValueError: for another rule, or a fan below 1.

    Example:
        >>> float(weight_variance("xavier", 300, 100))
        0.005
    """
    if rule not in WEIGHT_VARIANCES:
        raise ValueError(f"weight_variance: no rule is called {rule!r}. Use one of {', '.join(WEIGHT_VARIANCES)}.")
    inputs, outputs = np.asarray(fan_in, dtype=np.float64), np.asarray(fan_out, dtype=np.float64)
    if not ((inputs >= 1).all() and (outputs >= 1).all()):
        raise ValueError(f"weight_variance: fans must be 1 or more, but fan_in={fan_in!r} and fan_out={fan_out!r}.")
    return WEIGHT_VARIANCES[rule](inputs, outputs)
