"""Xavier initialization: the compromise between the signal forward and the gradient backward.

    Var W = gain² · 2 / (fan_in + fan_out)

Without nonlinearities the second moment is multiplied by fan_in · Var W forward and fan_out · Var W backward; both are
1 only for equal fans, and this is the value in between. Under ReLU both are halved in every layer: use ``kaiming_``.
Source: Glorot & Bengio 2010, eq. 12 and, with the bound √(6 / (fan_in + fan_out)), eq. 16.
"""

import torch
from torch import Tensor

from trainwell.init.draw import draw_
from trainwell.init.fan import fans


def xavier_(
    weight: Tensor,
    gain: float = 1.0,
    *,
    distribution: str = "uniform",
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place with independent numbers of variance gain² · 2 / (fan_in + fan_out).

    Args:
        weight: of a linear layer or a convolution.
        gain: factor on the standard deviation, at least 0.
        distribution: ``uniform`` (the paper's) or ``normal``.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight has no fans, is not floating point, or the gain or distribution is impossible.
    """
    return draw_(
        weight, gain * (2 / sum(fans(weight, groups=groups, transposed=transposed))) ** 0.5, distribution, generator
    )
