"""Random numbers for a whole batch: drawn on the generator's device, then moved to where they are used."""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.errors import InputError


def uniform(
    shape: Sequence[int], generator: torch.Generator, device: torch.device, low: float = 0.0, high: float = 1.0
) -> Tensor:
    """Draw float32 numbers of U[low, high) of the given shape."""
    drawn = torch.rand(tuple(shape), generator=generator, device=generator.device)
    return drawn.mul_(high - low).add_(low).to(device)


def normal(shape: Sequence[int], generator: torch.Generator, like: Tensor) -> Tensor:
    """Draw numbers of N(0, 1) of the given shape, on the device of ``like`` and in its dtype (float32 if integer)."""
    drawn = torch.randn(tuple(shape), generator=generator, device=generator.device)
    return drawn.to(like.device, like.dtype if like.is_floating_point() else torch.float32)


def whole(shape: Sequence[int], generator: torch.Generator, device: torch.device, low: int, high: int) -> Tensor:
    """Draw int64 numbers uniform over low … high, both included."""
    return torch.randint(low, high + 1, tuple(shape), generator=generator, device=generator.device).to(device)


def within(part: str, name: str, value: float, low: float, high: float) -> None:
    """Refuse a setting outside [low, high].

    Raises:
        InputError: naming the part, the setting, its value and the range.
    """
    if not low <= value <= high:
        raise InputError(f"{part}: {name}={value} is out of range.", f"Use {low:g} to {high:g}.")
