"""Identity initialization: a layer that starts by handing on its input.

A linear layer gets ones on the diagonal, a convolution a single one at the centre of the kernel from channel i to
channel i (exact for stride 1 and "same" padding); further outputs are 0, further inputs unread. The rows differ, so
units do not stay alike. Source: Le et al. 2015, arXiv:1504.00941 (recurrent ReLU nets); Zagoruyko & Komodakis 2017,
arXiv:1706.00388 (DiracNets).
"""

import torch
from torch import Tensor, nn

from trainwell.init.fan import fans


@torch.no_grad()
def identity_(weight: Tensor, gain: float = 1.0, *, groups: int = 1) -> Tensor:
    """Fill a weight in place with gain times the identity, one for each group.

    Args:
        weight: of a linear layer (two dimensions) or a convolution (three to five), transposed or not.
        gain: factor on the input.
        groups: of the convolution.

    Raises:
        ValueError: if the weight has no fans, is not floating point, or the groups do not divide it.
    """
    fans(weight, groups=groups)
    if not weight.is_floating_point():
        raise ValueError(f"identity_: the weight has dtype {weight.dtype}. Use a floating-point dtype.")
    if weight.dim() > 5:
        raise ValueError(
            f"identity_: a weight of shape {tuple(weight.shape)} belongs to no layer. Use 2 to 5 dimensions."
        )
    if weight.dim() == 2:
        for block in weight.unflatten(0, (groups, -1)):
            nn.init.eye_(block)
    else:
        nn.init.dirac_(weight, groups)
    return weight.mul_(gain)
