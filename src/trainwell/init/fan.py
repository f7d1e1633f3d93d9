"""How many numbers meet in a layer: its fans.

fan_in is the number of inputs that one output sums over, fan_out the number of outputs that one input reaches:

    layer                   weight                      fan_in               fan_out
    linear                  (out, in)                   in                   out
    convolution             (out, in / groups, *k)      in / groups · Πk     out / groups · Πk
    transposed convolution  (in, out / groups, *k)      in / groups · Πk     out / groups · Πk

Exact for stride 1, away from the border. With stride s in d dimensions an input of a convolution reaches fan_out / s^d
outputs on average, and an output of a transposed convolution sums over fan_in / s^d inputs. PyTorch's own count takes
the first dimension for the outputs in all three cases and does not divide it by the groups.
"""

import math

from torch import Tensor, nn

from trainwell.nn.operations import fans as fans_of_layer


def fans(owner: nn.Module | Tensor, *, groups: int = 1, transposed: bool = False) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a layer or of a weight.

    Args:
        owner: a linear layer, a convolution, a transposed convolution (which know their groups), or a weight of two
            dimensions or more.
        groups: of the convolution that a weight belongs to.
        transposed: whether a weight belongs to a transposed convolution: its first dimension counts the inputs.

    Raises:
        ValueError: if the owner has no fans, or if its groups do not divide it.

    Example:
        >>> fans(nn.Conv2d(8, 16, 3, groups=4)), fans(nn.ConvTranspose2d(8, 16, 3))
        ((18, 36), (72, 144))
    """
    if isinstance(owner, nn.Module):
        found = fans_of_layer(owner)
        if 0 in found:
            raise ValueError(f"fans: {type(owner).__name__} has no fans. Use a linear layer or a convolution.")
        return found
    if owner.dim() < 2 or owner.numel() == 0:
        raise ValueError(
            f"fans: a weight of shape {tuple(owner.shape)} has no fans. Use a weight of two dimensions or more, none 0."
        )
    if groups < 1 or owner.shape[0] % groups:
        raise ValueError(
            f"fans: {groups} groups do not divide the first dimension of a weight of shape {tuple(owner.shape)}. "
            "Use the groups of its convolution."
        )
    window = math.prod(owner.shape[2:])
    first, second = owner.shape[0] // groups * window, owner.shape[1] * window
    return (first, second) if transposed else (second, first)
