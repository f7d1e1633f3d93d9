"""Modules that cures put before or behind a model: they fill in, cast or reshape, and learn nothing."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.training.batches import mapped


class Filled(nn.Module):
    """Put a number in place of NaN and infinite inputs.

    Args:
        fill: broadcasts to one sample.
    """

    layer_kind = "input"
    fill: Tensor

    def __init__(self, fill: Tensor) -> None:
        super().__init__()
        self.register_buffer("fill", fill.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(torch.isfinite(x), x, self.fill.to(x.dtype))


class Cast(nn.Module):
    """Turn floating or whole numbers into another type, wherever they are in a tuple or dict."""

    layer_kind = "input"

    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: Any) -> Any:
        return mapped(x, lambda t: t.to(self.dtype) if t.is_floating_point() or t.dtype == torch.uint8 else t)


class Shaped(nn.Module):
    """Give every sample another shape, or another order of its axes.

    Args:
        shape: of one sample, or None.
        axes: order of all axes, the first being 0, or None.
    """

    layer_kind = "input"

    def __init__(self, shape: tuple[int, ...] | None = None, axes: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.shape, self.axes = shape, axes

    def forward(self, x: Tensor) -> Tensor:
        if self.axes is not None:
            x = x.permute(self.axes)
        return x if self.shape is None else x.reshape(len(x), *self.shape)
