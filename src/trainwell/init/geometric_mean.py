"""Geometric initialization: gradients of the same relative size in all layers.

    Var W = gain² / √(fan_in · fan_out),    gain² = c

In a chain of ReLU layers n_l → n_{l+1} the mean square gradient over the mean square weight of a layer is
∝ 1 / (n_l n_{l+1} (Var W_l)²): equal in all layers iff Var W_l = c / √(n_l n_{l+1}). It is the geometric mean of what
keeps the signal (c / fan_in) and what keeps the gradient (c / fan_out); for equal fans all three agree.
Source: Defazio & Bottou 2019, "A Scaling Calculus for the Design and Initialization of ReLU Networks",
arXiv:1906.04267.
"""

import torch
from torch import Tensor

from trainwell.init.draw import draw_
from trainwell.init.fan import fans


def geometric_mean_(
    weight: Tensor,
    gain: float = 2**0.5,
    *,
    distribution: str = "normal",
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place with independent numbers of variance gain² / √(fan_in · fan_out).

    Args:
        weight: of a linear layer or a convolution.
        gain: √c, at least 0; √2 is for ReLU.
        distribution: ``normal`` or ``uniform``.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight has no fans, is not floating point, or the gain or distribution is impossible.
    """
    fan_in, fan_out = fans(weight, groups=groups, transposed=transposed)
    return draw_(weight, gain / (fan_in * fan_out) ** 0.25, distribution, generator)
