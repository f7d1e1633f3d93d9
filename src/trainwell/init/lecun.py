"""The classical rule: every weight uniform between ±1/√fan_in.

    W ∼ U[−1/√d, 1/√d],    Var W = 1/(3d),    d = fan_in.

A linear layer multiplies the second moment by 1/3, the standard deviation by 0.577: deep nets go quiet. ``nn.Linear``
and torch's convolutions start from this rule. Lecture notes print U[−1/d, 1/d]; that is a misprint, with which the
standard deviation shrinks by 1/√(3d) a layer. Source: Glorot & Bengio 2010, eq. 1; LeCun et al. 1998, §4.6, who take
the variance 1/d instead: that is ``kaiming_`` with gain 1.
"""

import torch
from torch import Tensor

from trainwell.init.draw import draw_
from trainwell.init.fan import fans


def lecun_(
    weight: Tensor,
    gain: float = 1.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a weight in place from U[−gain/√fan_in, gain/√fan_in].

    Args:
        weight: of a linear layer or a convolution.
        gain: factor on the bound; √3 keeps the second moment where no nonlinearity follows.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight has no fans, is not floating point, or the gain is negative or not finite.
    """
    fan_in, _ = fans(weight, groups=groups, transposed=transposed)
    return draw_(weight, gain / (3 * fan_in) ** 0.5, "uniform", generator)
