"""Delta-orthogonal initialization of convolutions.

The kernel is zero except at its spatial centre c, which holds a matrix Q with orthonormal columns:

    W[:, :, c] = gain · Q,    QᵀQ = I,    W[:, :, s] = 0 for s ≠ c.

Every output pixel is gain · Q times the same input pixel, hence ‖W * x‖ = gain · ‖x‖ for every x.
Source: Xiao et al. 2018, "Dynamical Isometry and a Mean Field Theory of CNNs", Algorithm 2, arXiv:1806.05393.
"""

from typing import Any

import torch
from torch import Tensor

from trainwell.init.fan import fans
from trainwell.init.orthogonal import orthogonal_


@torch.no_grad()
def delta_orthogonal_(
    weight: Tensor,
    gain: float = 1.0,
    *,
    groups: int = 1,
    transposed: bool = False,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Fill a convolution's weight in place so that the layer multiplies every norm by ``gain``.

    Exact for stride 1, no bias and "same" padding (zeros do no harm: only the centre tap reads the input), in groups
    too: each has its own Q. With stride s the pixels that are kept keep their norm, the others are lost, so that
    ‖W * x‖ ≤ gain · ‖x‖. A transposed convolution loses nothing at any stride if its padding is half its kernel.

    Args:
        weight: shape (out_channels, in_channels / groups, *kernel) with one to three odd kernel sizes and
            out_channels ≥ in_channels; of a transposed convolution (in_channels, out_channels / groups, *kernel).
        gain: factor on the Euclidean norm; √2 makes up for the half of E[h²] that ReLU removes.
        groups: of the convolution.
        transposed: whether the convolution is a transposed one.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if no such kernel of this shape exists.
    """
    if weight.dim() not in (3, 4, 5):
        raise ValueError(
            f"delta_orthogonal_: a weight of shape {tuple(weight.shape)} is no convolution in one to three dimensions. "
            "Use orthogonal_ for linear layers."
        )
    fans(weight, groups=groups, transposed=transposed)
    kernel = weight.shape[2:]
    first, second = weight.shape[0], weight.shape[1] * groups
    channels_in, channels_out = (first, second) if transposed else (second, first)
    if channels_out < channels_in:
        raise ValueError(
            f"delta_orthogonal_: weight of shape {tuple(weight.shape)} maps {channels_in} channels to {channels_out}, "
            f"and no map to fewer dimensions keeps norms. Use {channels_in} or more, or kaiming_."
        )
    if any(size % 2 == 0 for size in kernel):
        raise ValueError(f"delta_orthogonal_: kernel {tuple(kernel)} has an even size and so no centre. Use odd sizes.")
    centre: tuple[Any, ...] = (..., *(size // 2 for size in kernel))
    weight.zero_()[centre] = orthogonal_(weight.new_empty(weight.shape[:2]), gain, groups=groups, generator=generator)
    return weight
