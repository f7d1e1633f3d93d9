"""Kaiming initialization: the second moment stays the same through ReLU.

    Var W = gain² / fan,    gain² = 2 / (1 + a²) for ReLU with negative slope a

For W symmetric and independent, E relu(wᵀx)² = ½ Var(w) ‖x‖² whatever x: with fan = fan_in, E h² stays exactly what it
was; with fan_out the gradient's second moment does. Lecture notes print the variance 2/√d; that is a misprint for the
standard deviation √(2/d), and taken literally it multiplies E h² by √d in every layer.
Source: He et al. 2015, §2.2, eq. 10, 14 and 15, arXiv:1502.01852.
"""

import torch
from torch import Tensor

from trainwell.init.draw import draw_
from trainwell.init.fan import fans


def kaiming_(
    weight: Tensor,
    gain: float | None = None,
    *,
    negative_slope: float = 0.0,
    fan: str = "in",
    distribution: str = "normal",
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place with independent numbers of variance gain² / fan.

    Args:
        weight: of a linear layer or a convolution.
        gain: factor on the standard deviation, at least 0, for another nonlinearity φ: 1/√E φ(z)²; made from
            ``negative_slope`` if None.
        negative_slope: of the leaky ReLU that follows; 0 for ReLU, 1 for none.
        fan: ``in`` keeps the signal, ``out`` the gradient.
        distribution: ``normal`` (the paper's) or ``uniform``.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight has no fans, is not floating point, or another argument is impossible.
    """
    if fan not in ("in", "out"):
        raise ValueError(f"kaiming_: fan={fan!r} is not known. Use 'in' or 'out'.")
    factor = (2 / (1 + negative_slope**2)) ** 0.5 if gain is None else gain
    size = fans(weight, groups=groups, transposed=transposed)[fan == "out"]
    return draw_(weight, factor / size**0.5, distribution, generator)
