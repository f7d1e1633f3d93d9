"""Mirror and move images by whole pixels, without resampling.

    flip       each image is mirrored left to right with probability ½
    pad_crop   each image is moved by (dy, dx), uniform in {−pad, …, pad}², and what it uncovers is filled
    shift      the same with a largest move that is a share of the sides

Source: padding and cropping as in He et al. 2016, §4.2, arXiv:1512.03385.
"""

import torch
from torch import Tensor

from trainwell.data.augment.draws import within
from trainwell.errors import InputError

FILLS = ("reflect", "zeros")


def flip(images: Tensor, generator: torch.Generator, probability: float = 0.5) -> Tensor:
    """Mirror each image of (N, C, H, W) left to right with the given probability, independently."""
    chosen = torch.rand(len(images), generator=generator, device=generator.device) < probability
    rows = chosen.nonzero().squeeze(1).to(images.device)
    # whole images are copied as blocks: 3 times as fast as torch.where, which decides pixel by pixel
    return images.index_copy(0, rows, images.index_select(0, rows).flip(3))


def pad_crop(
    images: Tensor, pad: int, generator: torch.Generator, mode: str = "reflect", mirror: bool = False
) -> Tensor:
    """Move each image of (N, C, H, W) by up to ``pad`` pixels in each direction, independently.

    Args:
        images: any dtype.
        pad: largest move in pixels, at least 0 and less than the image's side.
        generator: source of the moves.
        mode: what fills the uncovered border: ``reflect`` mirrors the image, ``zeros`` is black.
        mirror: whether ``flip`` follows, with the same draws and bits, in the same pass over the pixels.

    Raises:
        InputError: if the images are too small for such a move, or the mode is not known.
    """
    count, _, height, width = images.shape
    if not 0 <= pad < min(height, width):
        raise InputError(
            f"pad_crop: pad={pad} does not fit images of {height}×{width} pixels.",
            f"Use a pad of 0 to {min(height, width) - 1} pixels.",
        )
    _check_fill("pad_crop", mode)
    if pad == 0:
        return flip(images, generator) if mirror else images
    moves = torch.randint(-pad, pad + 1, (2, count, 1), generator=generator, device=generator.device)
    turned = torch.rand(count, generator=generator, device=generator.device) < 0.5 if mirror else None
    return _moved(images, moves.to(images.device), mode, None if turned is None else turned.to(images.device))


def shift(images: Tensor, share: float, generator: torch.Generator, mode: str = "reflect") -> Tensor:
    """Move each image of (N, C, H, W) by whole pixels, up to ``share`` of its height and of its width.

    Args:
        images: any dtype.
        share: largest move as a share of the side, in [0, 1); rounded down to whole pixels.
        generator: source of the moves.
        mode: what fills the uncovered border: ``reflect`` or ``zeros``.
    """
    within("shift", "share", share, 0, 1 - 1e-9)
    _check_fill("shift", mode)
    count, _, height, width = images.shape
    reach = [int(share * side) for side in (height, width)]
    if reach == [0, 0]:
        return images
    moves = [torch.randint(-r, r + 1, (count, 1), generator=generator, device=generator.device) for r in reach]
    return _moved(images, torch.stack(moves).to(images.device), mode)


def _check_fill(part: str, mode: str) -> None:
    if mode not in FILLS:
        raise InputError(f"{part}: mode={mode!r} is not known.", "Use 'reflect' or 'zeros'.")


def _moved(images: Tensor, moves: Tensor, mode: str, mirrored: Tensor | None = None) -> Tensor:
    """Move image n by moves[0, n] rows and moves[1, n] columns, then mirror it where ``mirrored``, (N,), says so.

    moves: (2, N, 1), smaller than the sides.
    """
    count, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device) + moves[0]  # (N, H): where each row comes from
    columns = torch.arange(width, device=images.device) + moves[1]
    if mirrored is not None:
        columns = torch.where(mirrored.unsqueeze(1), columns.flip(1), columns)
    source = reflected(rows, height).unsqueeze(2) * width + reflected(columns, width).unsqueeze(1)
    source = source.view(count, 1, height * width).expand(-1, channels, -1)
    moved = images.flatten(2).gather(2, source).view_as(images)
    if mode == "reflect":
        return moved
    inside = ((rows >= 0) & (rows < height)).unsqueeze(2) & ((columns >= 0) & (columns < width)).unsqueeze(1)
    return torch.where(inside.unsqueeze(1), moved, 0)


def reflected(index: Tensor, size: int) -> Tensor:
    """Mirror indices −size < i < 2·size − 1 into 0 … size − 1 without repeating the border."""
    last = size - 1
    return last - (last - index.abs()).abs()
