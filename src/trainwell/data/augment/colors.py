"""Change the colours of images of values 0 … 255; ``Y = 0.299 R + 0.587 G + 0.114 B`` is the luma (ITU-R BT.601).

    brightness   f · x
    contrast     m + f · (x − m),  m the mean luma of the image
    saturation   Y + f · (x − Y)
    hue          (I, Q) turned by 2π·turn in the plane of the YIQ colour space: luma and grey stay

Each is linear in the pixel (m is one number an image), so any sequence of them is one matrix and one offset an image,
clipped to 0 … 255 once at the end; libraries that go step by step clip after each. The factor f = 1 and the turn 0
change nothing. Images without three channels have as luma the mean of their channels, and neither saturation nor hue.
"""

import math

import torch
from torch import Tensor

from trainwell.data.augment.draws import uniform, within
from trainwell.data.augment.values import as_float, clipped, per_image
from trainwell.errors import InputError

LUMA = (0.299, 0.587, 0.114)
YIQ = (LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))  # the rows of I and Q sum to 0


def brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply each image of (N, C, H, W) by its factor ≥ 0."""
    return clipped(as_float(images) * per_image(factors, images), images)


def contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Move each pixel away from (or to) the mean luma of its image by its factor ≥ 0."""
    x, factor = as_float(images), per_image(factors, images)
    return clipped(x * factor + (1 - factor) * _mean_luma(x), images)


def saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Move each pixel away from (or to) its own luma by its factor ≥ 0; 0 is grey."""
    return _recolored(images, _saturating(per_image(factors, images).flatten()), "saturation")


def hue(images: Tensor, turns: Tensor) -> Tensor:
    """Turn the hues of each image by a share of the circle, −0.5 … 0.5."""
    return _recolored(images, _turning(per_image(turns, images).flatten()), "hue")


def grayscale(images: Tensor) -> Tensor:
    """Give all channels the luma."""
    x = as_float(images)
    return clipped(_luma(x).expand_as(x), images)


def color_jitter(
    images: Tensor,
    generator: torch.Generator,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
) -> Tensor:
    """Change brightness, then contrast, saturation and hue of each image by its own random amounts.

    Args:
        images: (N, C, H, W), uint8 or float in 0 … 255.
        generator: source of the amounts; a setting of 0 draws nothing.
        brightness, contrast, saturation: the factor is uniform in [max(0, 1 − setting), 1 + setting].
        hue: the turn is uniform in ±hue, a share of the circle, at most 0.5.
    """
    for name, value in (("brightness", brightness), ("contrast", contrast), ("saturation", saturation)):
        within("color_jitter", name, value, 0, 10)
    within("color_jitter", "hue", hue, 0, 0.5)
    x, count = as_float(images), len(images)
    ones = torch.ones(count, device=images.device)

    def factors(setting: float) -> Tensor:
        return uniform((count,), generator, images.device, max(0.0, 1 - setting), 1 + setting) if setting else ones

    bright, spread, vivid = factors(brightness), factors(contrast), factors(saturation)
    scale, offset = per_image(bright * spread, images), None
    if contrast:
        offset = per_image(bright * (1 - spread), images) * _mean_luma(x)
    if not saturation and not hue:
        return clipped(x * scale if offset is None else torch.addcmul(offset, x, scale), images)
    matrices = _saturating(vivid.to(x.dtype))
    if hue:
        matrices = _turning(uniform((count,), generator, images.device, -hue, hue).to(x.dtype)) @ matrices
    return _recolored(images, matrices * scale.view(-1, 1, 1), "color_jitter", offset)


def _weights(x: Tensor) -> Tensor:
    channels = x.shape[1]
    return x.new_tensor(LUMA) if channels == 3 else x.new_full((channels,), 1 / channels)


def _luma(x: Tensor) -> Tensor:
    return torch.einsum("nchw,c->nhw", x, _weights(x)).unsqueeze(1)


def _mean_luma(x: Tensor) -> Tensor:
    return (x.mean((2, 3)) @ _weights(x)).view(-1, 1, 1, 1)


def _saturating(factors: Tensor) -> Tensor:
    """f · identity + (1 − f) · (each row the luma): (N, 3, 3)"""
    gray = factors.new_tensor(LUMA).expand(3, 3)
    factors = factors.view(-1, 1, 1)
    return factors * torch.eye(3, dtype=factors.dtype, device=factors.device) + (1 - factors) * gray


def _turning(turns: Tensor) -> Tensor:
    """YIQ⁻¹ · rotation · YIQ: (N, 3, 3)"""
    cos, sin = torch.cos(2 * math.pi * turns.double()), torch.sin(2 * math.pi * turns.double())
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], 1).view(-1, 3, 3)
    there = torch.tensor(YIQ, dtype=torch.float64)
    back = torch.linalg.inv(there).to(turns.device)
    return (back @ rotation @ there.to(turns.device)).to(turns.dtype)


def _recolored(images: Tensor, matrices: Tensor, part: str, offset: Tensor | None = None) -> Tensor:
    if images.shape[1] == 1:  # no colours: what would change them leaves grey as it is
        shades = matrices.sum(2, keepdim=True)[:, :1].unsqueeze(3)  # a grey pixel's factor
        scaled = as_float(images) * shades
        return clipped(scaled if offset is None else scaled + offset, images)
    if images.shape[1] != 3:
        raise InputError(
            f"{part}: {images.shape[1]} channels have neither saturation nor hue.",
            "Use images of one or three channels, or set saturation and hue to 0.",
        )
    pixels = as_float(images).flatten(2)
    matrices = matrices.expand(len(images), -1, -1)
    added = torch.zeros(1, 1, 1, dtype=pixels.dtype, device=pixels.device) if offset is None else offset.view(-1, 1, 1)
    return clipped(torch.baddbmm(added, matrices, pixels), images).view_as(images)
