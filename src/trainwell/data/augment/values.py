"""Pixel values: computed in floating point, given back in the images' own dtype."""

import torch
from torch import Tensor

from trainwell.errors import InputError

WHITE = 255.0


def as_float(images: Tensor) -> Tensor:
    """Images as float32, or float64 where they are: what is computed in."""
    return images if images.dtype in (torch.float32, torch.float64) else images.to(torch.float32)


def like(values: Tensor, images: Tensor) -> Tensor:
    """Values in the dtype of ``images``; for uint8 rounded and kept in 0 … 255. ``values`` must be a new tensor."""
    if images.is_floating_point():
        return values.to(images.dtype)
    return values.round().clamp(0, WHITE).to(images.dtype)


def clipped(values: Tensor, images: Tensor) -> Tensor:
    """Values kept in 0 … 255, in the dtype of ``images``, for uint8 rounded."""
    return like(values.clamp(0, WHITE), images)


def per_image(values: Tensor, images: Tensor) -> Tensor:
    """One value an image, (N,) or one for all, as (N, 1, 1, 1) or (1, 1, 1, 1) in the dtype that is computed in.

    Raises:
        InputError: if their number is neither 1 nor N.
    """
    values = torch.as_tensor(values)
    if values.numel() not in (1, len(images)):
        raise InputError(
            f"{values.numel()} settings for {len(images)} images.", "Give one for each image, or one for all."
        )
    dtype = images.dtype if images.dtype in (torch.float32, torch.float64) else torch.float32
    return values.to(images.device, dtype).view(-1, 1, 1, 1)
