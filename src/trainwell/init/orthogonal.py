"""Random orthogonal weights: all singular values are the gain.

The weight, flattened to (first dimension, the rest), is gain · Q with orthonormal rows or columns, whichever are fewer,
uniformly distributed. A square linear layer then multiplies the norm of every input by the gain, forward and backward.
A convolution does so for no kernel larger than 1: its patches overlap; for that there is ``delta_orthogonal_``.
Source: Saxe et al. 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear networks",
arXiv:1312.6120.
"""

import math

import torch
from torch import Tensor, nn

from trainwell.init.fan import fans


@torch.no_grad()
def orthogonal_(
    weight: Tensor, gain: float = 1.0, *, groups: int = 1, generator: torch.Generator | None = None
) -> Tensor:
    """Fill a weight in place with gain times a random orthogonal matrix, one for each group.

    Args:
        weight: two dimensions or more; a transposed convolution's may be handed over as it is.
        gain: all singular values; √2 makes up for the half of E[h²] that ReLU removes.
        groups: into how many blocks the first dimension is cut, each of them orthogonal by itself: groups of a
            convolution, gates of a recurrent layer.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight has too few dimensions or is not floating point, or the groups do not divide it.
    """
    fans(weight, groups=groups)
    if not weight.is_floating_point():
        raise ValueError(f"orthogonal_: the weight has dtype {weight.dtype}. Use a floating-point dtype.")
    if not math.isfinite(gain):
        raise ValueError(f"orthogonal_: gain={gain} is not finite. Use a finite number.")
    dtype = torch.promote_types(weight.dtype, torch.float32) if weight.dtype.itemsize > 1 else torch.float32
    for block in weight.unflatten(0, (groups, -1)):
        block.copy_(nn.init.orthogonal_(torch.empty_like(block, dtype=dtype).contiguous(), gain, generator))
    return weight
