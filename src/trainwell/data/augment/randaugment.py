"""RandAugment: ``count`` operations of one magnitude, drawn for each image from a table.

Images that drew the same operation are changed together, so the loop is over operations and never over images.
An amount a in [−1, 1] has size magnitude / 10 and, where the operation has two directions, a random sign:

    identity, autocontrast, equalize   no amount            brightness, contrast, color, sharpness   factor 1 + 0.9 a
    rotate                             30° · a              shear_x, shear_y                         slope 0.3 a
    translate_x, translate_y           150/331 of the side · a
    posterize                          8 − round(4 |a|) bits        solarize                     from 256 · (1 − |a|) up

Source: Cubuk et al. 2020, "RandAugment", §3, arXiv:1909.13719, with the ranges of AutoAugment (arXiv:1805.09501, Table
6). There posterize and solarize grow weaker with the magnitude; here, as in torchvision, magnitude 0 changes nothing.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from trainwell.data.augment import colors, tones
from trainwell.data.augment.draws import within
from trainwell.data.augment.warp import affine, affine_matrices
from trainwell.errors import InputError

Operation = Callable[[Tensor, Tensor], Tensor]
"""Changes images (N, C, H, W) by amounts (N,) in [−1, 1]."""

LARGEST_MAGNITUDE = 10


def _turned(images: Tensor, amounts: Tensor) -> Tensor:
    return affine(images, affine_matrices(30 * amounts))


def _moved_x(images: Tensor, amounts: Tensor) -> Tensor:
    return affine(images, affine_matrices(0.0, dx=150 / 331 * images.shape[3] * amounts))


def _moved_y(images: Tensor, amounts: Tensor) -> Tensor:
    return affine(images, affine_matrices(0.0, dy=150 / 331 * images.shape[2] * amounts))


def _saturated(images: Tensor, amounts: Tensor) -> Tensor:
    return colors.saturation(images, 1 + 0.9 * amounts) if images.shape[1] == 3 else images


OPERATIONS: dict[str, Operation] = {
    "identity": lambda images, amounts: images,
    "autocontrast": lambda images, amounts: tones.autocontrast(images),
    "equalize": lambda images, amounts: tones.equalize(images),
    "rotate": _turned,
    "solarize": lambda images, amounts: tones.solarize(images, 256 * (1 - amounts.abs())),
    "color": _saturated,
    "posterize": lambda images, amounts: tones.posterize(images, 8 - (4 * amounts.abs()).round()),
    "contrast": lambda images, amounts: colors.contrast(images, 1 + 0.9 * amounts),
    "brightness": lambda images, amounts: colors.brightness(images, 1 + 0.9 * amounts),
    "sharpness": lambda images, amounts: tones.sharpness(images, 1 + 0.9 * amounts),
    "shear_x": lambda images, amounts: affine(images, affine_matrices(0.0, shear_x=0.3 * amounts)),
    "shear_y": lambda images, amounts: affine(images, affine_matrices(0.0, shear_y=0.3 * amounts)),
    "translate_x": _moved_x,
    "translate_y": _moved_y,
}
"""The 14 operations of the paper."""


def policy(
    images: Tensor,
    count: int,
    magnitude: float,
    generator: torch.Generator,
    operations: Sequence[str] = tuple(OPERATIONS),
) -> Tensor:
    """Change each image by ``count`` operations, drawn one after the other with replacement.

    Args:
        images: (N, C, H, W), uint8 or float in 0 … 255.
        count: operations an image, at least 0; the paper uses 2 (ImageNet) and 3 (CIFAR).
        magnitude: 0 (nothing but autocontrast and equalize) to 10.
        generator: source of operations and signs.
        operations: names out of ``OPERATIONS``.

    Raises:
        InputError: if a number is out of range or a name is not known.
    """
    within("policy", "count", count, 0, 100)
    within("policy", "magnitude", magnitude, 0, LARGEST_MAGNITUDE)
    unknown = [name for name in operations if name not in OPERATIONS]
    if unknown or not operations:
        raise InputError(f"policy: operations {unknown} are not known.", f"Use some of {', '.join(OPERATIONS)}.")
    shape = (count, len(images))
    drawn = torch.randint(0, len(operations), shape, generator=generator, device=generator.device)
    signs = torch.randint(0, 2, shape, generator=generator, device=generator.device) * 2 - 1
    amounts = signs * (magnitude / LARGEST_MAGNITUDE)  # they stay on the generator's device: a GPU need not wait
    for choice, amount in zip(drawn, amounts, strict=True):
        images = images.clone()
        for number, name in enumerate(operations):
            rows = (choice == number).nonzero().squeeze(1)
            if name != "identity" and len(rows):
                place = rows.to(images.device)
                images.index_copy_(0, place, OPERATIONS[name](images.index_select(0, place), amount[rows]))
    return images
