"""Take a part of each image away.

    cutout         a size × size square, its centre uniform over the pixels, becomes zero
    random_erase   with a probability, a rectangle of random area and aspect becomes zero or noise

Sources: DeVries & Taylor 2017, "Improved Regularization of CNNs with Cutout", arXiv:1708.04552; Zhong et al. 2017,
"Random Erasing Data Augmentation", Algorithm 1, arXiv:1708.04896.
"""

import math

import torch
from torch import Tensor

from trainwell.data.augment.draws import uniform, within
from trainwell.data.augment.values import WHITE, like
from trainwell.errors import InputError


def cutout(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Blacken a square of ``size`` pixels in each image of (N, C, H, W); at the border a part of it lies outside."""
    if size == 0:
        return images
    count, _, height, width = images.shape
    centres = torch.rand(2, count, generator=generator, device=generator.device).to(images.device)
    top = (centres[0] * height).long() - size // 2
    left = (centres[1] * width).long() - size // 2
    hole = rectangle(height, width, top, left, size, size)
    if images.dtype != torch.uint8:
        return torch.where(hole.unsqueeze(1), 0, images)
    return images * (~hole).unsqueeze(1).view(torch.uint8)  # 8 times as fast as torch.where on bytes


def rectangle(height: int, width: int, top: Tensor, left: Tensor, tall: Tensor | int, wide: Tensor | int) -> Tensor:
    """Where the rectangles are: (N, H, W), true inside; ``top``, ``left`` and sides given as tensors are (N,)."""
    rows = torch.arange(height, device=top.device) - top.unsqueeze(1)
    columns = torch.arange(width, device=top.device) - left.unsqueeze(1)
    tall, wide = (side.unsqueeze(1) if isinstance(side, Tensor) else side for side in (tall, wide))
    inside = ((rows >= 0) & (rows < tall)).unsqueeze(2), ((columns >= 0) & (columns < wide)).unsqueeze(1)
    return (inside[0].view(torch.uint8) * inside[1].view(torch.uint8)).view(torch.bool)  # bytes multiply faster than &


def random_erase(
    images: Tensor,
    generator: torch.Generator,
    probability: float = 0.5,
    area: tuple[float, float] = (0.02, 0.4),
    aspect: float = 0.3,
    fill: str = "zeros",
) -> Tensor:
    """Erase a rectangle that lies wholly inside each image, with the given probability.

    A rectangle that would not fit is cut to the image's side (the paper draws again until one fits).

    Args:
        images: (N, C, H, W), uint8 or float in 0 … 255.
        generator: source of everything drawn.
        probability: that an image loses a rectangle; the paper's is ½.
        area: smallest and largest share of the image; the paper's.
        aspect: height / width is log-uniform in [aspect, 1 / aspect]; the paper's (there uniform).
        fill: ``zeros``, or ``noise``: each value uniform in 0 … 255, the paper's best.
    """
    within("random_erase", "probability", probability, 0, 1)
    within("random_erase", "area[1]", area[1], 0, 1)
    within("random_erase", "area[0]", area[0], 0, area[1])
    within("random_erase", "aspect", aspect, 1e-3, 1)
    if fill not in ("zeros", "noise"):
        raise InputError(f"random_erase: fill={fill!r} is not known.", "Use 'zeros' or 'noise'.")
    count, _, height, width = images.shape
    drawn = uniform((5, count), generator, images.device)
    share = area[0] + (area[1] - area[0]) * drawn[0]
    ratio = torch.exp((2 * drawn[1] - 1) * math.log(1 / aspect))
    tall = (share * ratio * height * width).sqrt().round().clamp(1, height).long()
    wide = (share / ratio * height * width).sqrt().round().clamp(1, width).long()
    top = (drawn[2] * (height - tall + 1)).long()
    left = (drawn[3] * (width - wide + 1)).long()
    hole = rectangle(height, width, top, left, tall, wide) & (drawn[4] < probability).view(-1, 1, 1)
    if fill == "zeros":
        return torch.where(hole.unsqueeze(1), 0, images)
    noise = like(uniform(images.shape, generator, images.device, 0, WHITE), images)
    return torch.where(hole.unsqueeze(1), noise, images)
