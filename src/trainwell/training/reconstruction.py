"""From the outputs of a linear layer or convolution back to its inputs: the adjoint of the layer's product.

    ⟨W * x, h⟩ = ⟨x, Wᵀ * h⟩    for every x and h

A decoder is a · Wᵀ * h + c, with the a and c that are best at the start (least squares).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def decode(layer: nn.Module, weight: Tensor, hidden: Tensor, shape: torch.Size) -> Tensor:
    """The transposed product of a linear layer or convolution: from outputs back to inputs.

    Args:
        layer: ``nn.Linear`` or ``nn.Conv1d/2d/3d``: says stride, padding, dilation and groups.
        weight: of the layer's shape.
        hidden: the layer's output.
        shape: of the input, as the result.
    """
    if isinstance(layer, nn.Linear):
        return hidden @ weight
    assert isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    before, extra = [], []
    for i, size in enumerate(shape[2:]):
        reach = layer.dilation[i] * (layer.kernel_size[i] - 1)
        left = reach // 2 if layer.padding == "same" else 0 if layer.padding == "valid" else layer.padding[i]
        before.append(int(left))
        reached = (hidden.shape[2 + i] - 1) * layer.stride[i] + reach + 1  # padded inputs that the windows cover
        extra.append(max(0, int(left) + size - reached))
    transposed = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(before) - 1]
    full = transposed(
        hidden,
        weight,
        stride=layer.stride,
        groups=layer.groups,
        dilation=layer.dilation,
    )
    full = F.pad(full, [pad for amount in reversed(extra) for pad in (0, amount)])
    for i, (left, size) in enumerate(zip(before, shape[2:], strict=True)):
        full = full.narrow(2 + i, left, size)
    return full


def along(layer: nn.Module, values: Tensor, x: Tensor) -> Tensor:
    """One value for each feature or channel, in a shape that adds to x."""
    return values if isinstance(layer, nn.Linear) else values.view(-1, *[1] * (x.dim() - 2))


def best_line(layer: nn.Module, back: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """The number a and, for each feature or channel, c for which a · back + c is nearest to x.

    A feature is an entry of the last dimension of a linear layer's input, a channel of dimension 1 of a convolution's.
    """
    kept = x.dim() - 1 if isinstance(layer, nn.Linear) else 1
    others = [d for d in range(x.dim()) if d != kept]
    flat = back - back.mean(others, keepdim=True)
    scale = (flat * x).sum() / flat.square().sum().clamp_min(torch.finfo(x.dtype).tiny)
    return scale.clone(), (x - scale * back).mean(others).clone()
