"""Independent random weights of mean 0 and a given standard deviation, normal or uniform.

U[−a, a] has the standard deviation a / √3. Numbers are drawn in float32 or float64; a shorter dtype gets them rounded.
"""

import math

import torch
from torch import Tensor, nn

DISTRIBUTIONS = ("normal", "uniform")


@torch.no_grad()
def draw_(weight: Tensor, std: float, distribution: str, generator: torch.Generator | None) -> Tensor:
    """Fill ``weight`` with independent numbers of mean 0 and standard deviation ``std``.

    Raises:
        ValueError: if the weight is not floating point, ``std`` negative or not finite, the distribution unknown.
    """
    if not weight.is_floating_point():
        raise ValueError(f"A weight of dtype {weight.dtype} cannot hold random numbers. Use a floating-point dtype.")
    if not (math.isfinite(std) and std >= 0):
        raise ValueError(f"A standard deviation of {std} is impossible. Use a finite number that is not negative.")
    if distribution not in DISTRIBUTIONS:
        raise ValueError(f"distribution={distribution!r} is not known. Use one of {', '.join(DISTRIBUTIONS)}.")
    drawn = weight if weight.dtype.itemsize >= 4 else torch.empty_like(weight, dtype=torch.float32)
    if distribution == "normal":
        nn.init.normal_(drawn, 0.0, std, generator)
    else:
        nn.init.uniform_(drawn, -math.sqrt(3) * std, math.sqrt(3) * std, generator)
    return weight if drawn is weight else weight.copy_(drawn)


def normal_(weight: Tensor, std: float, *, generator: torch.Generator | None = None) -> Tensor:
    """Fill a weight in place from N(0, std²), whatever its shape.

    Args:
        weight: any shape, any floating-point dtype.
        std: standard deviation, at least 0.
        generator: source of randomness; the global one if None.

    Raises:
        ValueError: if the weight is not floating point or ``std`` is negative or not finite.
    """
    return draw_(weight, std, "normal", generator)
