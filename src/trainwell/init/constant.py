"""One number in all places of a weight.

As the start of a hidden layer it is an illness: all its units compute the same, get the same gradient and stay the
same; at zero, where φ(0) = 0 as in ReLU and tanh, no weight of two layers in a row ever moves. It is right for biases,
and zero is right for the last layer of a residual branch, which then starts as its shortcut.
Source: Goodfellow et al. 2016, "Deep Learning", §8.4; Zhang et al. 2019 (Fixup), arXiv:1901.09321.
"""

import math

import torch
from torch import Tensor


@torch.no_grad()
def constant_(weight: Tensor, value: float) -> Tensor:
    """Fill a weight in place with ``value``.

    Raises:
        ValueError: if the weight is not floating point or the value is not finite.
    """
    if not weight.is_floating_point():
        raise ValueError(f"constant_: the weight has dtype {weight.dtype}. Use a floating-point dtype.")
    if not math.isfinite(value):
        raise ValueError(f"constant_: value={value} is not finite. Use a finite number.")
    return weight.fill_(value)


def zero_(weight: Tensor) -> Tensor:
    """Fill a weight in place with zeros.

    Raises:
        ValueError: if the weight is not floating point.
    """
    return constant_(weight, 0.0)
