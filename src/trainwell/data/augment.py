"""Augmentation of whole batches of images, on tensors, without a Python loop over samples.

    flip       each image is mirrored left to right with probability ½
    pad_crop   each image is shifted by (dy, dx), uniform in {−pad, …, pad}², and what it uncovers is filled
    cutout     a size × size square of each image, its centre uniform over the pixels, becomes zero

Sources: padding and cropping as in He et al. 2016, §4.2, arXiv:1512.03385; DeVries & Taylor 2017, "Improved
Regularization of CNNs with Cutout", arXiv:1708.04552. Nothing here changes its argument.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.errors import InputError


def flip(images: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """Mirror each image of (N, C, H, W) left to right with the given probability, independently."""
    chosen = torch.rand(len(images), generator=generator, device=generator.device) < probability
    return torch.where(chosen.to(images.device).view(-1, 1, 1, 1), images.flip(3), images)


def pad_crop(images: Tensor, pad: int, generator: torch.Generator, mode: str = "reflect") -> Tensor:
    """Shift each image of (N, C, H, W) by up to ``pad`` pixels in each direction, independently.

    Args:
        images: any dtype.
        pad: largest shift in pixels, at least 0 and less than the image's side.
        generator: source of the shifts.
        mode: what fills the uncovered border: ``reflect`` mirrors the image, ``zeros`` is black.

    Raises:
        InputError: if the images are too small for such a shift, or the mode is not known.
    """
    count, channels, height, width = images.shape
    if not 0 <= pad < min(height, width):
        raise InputError(
            f"pad_crop: pad={pad} does not fit images of {height}×{width} pixels.",
            f"Use a pad of 0 to {min(height, width) - 1} pixels.",
        )
    if mode not in ("reflect", "zeros"):
        raise InputError(f"pad_crop: mode={mode!r} is not known.", "Use 'reflect' or 'zeros'.")
    if pad == 0:
        return images
    shifts = torch.randint(-pad, pad + 1, (2, count, 1), generator=generator, device=generator.device)
    shifts = shifts.to(images.device)
    rows = torch.arange(height, device=images.device) + shifts[0]  # (N, H): where each row comes from
    columns = torch.arange(width, device=images.device) + shifts[1]
    source = _reflected(rows, height).unsqueeze(2) * width + _reflected(columns, width).unsqueeze(1)
    source = source.view(count, 1, height * width).expand(-1, channels, -1)
    shifted = images.flatten(2).gather(2, source).view_as(images)
    if mode == "reflect":
        return shifted
    inside = ((rows >= 0) & (rows < height)).unsqueeze(2) & ((columns >= 0) & (columns < width)).unsqueeze(1)
    return torch.where(inside.unsqueeze(1), shifted, 0)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Mirror indices −size < i < 2·size − 1 into 0 … size − 1 without repeating the border."""
    last = size - 1
    return last - (last - index.abs()).abs()


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Blacken a square of ``size`` pixels in each image of (N, C, H, W); at the border a part of it lies outside."""
    if size == 0:
        return images
    count, _, height, width = images.shape
    centres = torch.rand(2, count, generator=generator, device=generator.device).to(images.device)
    top = (centres[0] * height).long() - size // 2
    left = (centres[1] * width).long() - size // 2
    rows = torch.arange(height, device=images.device) - top.unsqueeze(1)
    columns = torch.arange(width, device=images.device) - left.unsqueeze(1)
    hole = ((rows >= 0) & (rows < size)).unsqueeze(2) & ((columns >= 0) & (columns < size)).unsqueeze(1)
    return torch.where(hole.unsqueeze(1), 0, images)


@dataclass(frozen=True)
class Augment:
    """Augment a batch of images: shift, then mirror, then cut out; the same bits for the same state of the generator.

    Attributes:
        flip: whether to mirror half of the images left to right.
        pad: largest shift in pixels; 0 for none.
        cutout: side of the square that is blackened, in pixels; 0 for none.
        mode: what fills the border that a shift uncovers, ``reflect`` or ``zeros``.
    """

    flip: bool = False
    pad: int = 0
    cutout: int = 0
    mode: str = "reflect"

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        images = pad_crop(images, self.pad, generator, self.mode)
        if self.flip:
            images = flip(images, generator)
        return cutout(images, self.cutout, generator)
