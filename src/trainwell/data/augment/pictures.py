"""Everything that a batch of training images can go through, in one fixed order."""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.data.augment.colors import color_jitter, grayscale
from trainwell.data.augment.draws import uniform, within
from trainwell.data.augment.erasing import cutout, random_erase
from trainwell.data.augment.moves import flip, pad_crop, shift
from trainwell.data.augment.noises import image_noise, salt_pepper
from trainwell.data.augment.randaugment import LARGEST_MAGNITUDE, policy
from trainwell.data.augment.warp import random_affine


@dataclass(frozen=True)
class Augment:
    """Augment a batch of images (N, C, H, W), uint8 or float in 0 … 255; same state of the generator, same bits.

    In this order: move, mirror, warp, policy, colours, grey, noise, erase, cut out. What is off draws nothing.

    Attributes:
        flip: whether to mirror half of the images left to right.
        pad: largest move in pixels; 0 for none.
        cutout: side of the square that is blackened, in pixels; 0 for none.
        mode: what fills the border that a move uncovers, ``reflect`` or ``zeros``.
        shift: largest move in whole pixels as a share of the sides, in [0, 1).
        rotate: largest turn in degrees.
        scale: largest enlargement less 1; the factor is log-uniform in [1 / (1 + scale), 1 + scale].
        shear: largest slope.
        translate: largest move in fractions of a pixel, as a share of the sides.
        border: what lies outside a warped image: ``zeros``, ``border`` or ``reflect``.
        brightness, contrast, saturation: the factor is uniform in [max(0, 1 − setting), 1 + setting].
        hue: largest turn of the hues, a share of the circle up to 0.5.
        gray: probability that an image loses its colours.
        noise: standard deviation of Gaussian noise, in units of 0 … 255.
        salt_pepper: share of the pixels that become black or white.
        erase: probability that a random rectangle is erased.
        erase_fill: what it is filled with, ``zeros`` or ``noise``.
        policy_count: operations of RandAugment an image; 0 for none.
        policy_magnitude: their magnitude, 0 to 10; 5 is half of the range of AutoAugment.
    """

    flip: bool = False
    pad: int = 0
    cutout: int = 0
    mode: str = "reflect"
    shift: float = 0.0
    rotate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    translate: float = 0.0
    border: str = "zeros"
    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    gray: float = 0.0
    noise: float = 0.0
    salt_pepper: float = 0.0
    erase: float = 0.0
    erase_fill: str = "zeros"
    policy_count: int = 0
    policy_magnitude: float = 5.0

    def __post_init__(self) -> None:
        limits = {"shift": 1, "rotate": 180, "scale": 10, "shear": 0.9, "translate": 1}
        limits |= {"brightness": 10, "contrast": 10, "saturation": 10, "hue": 0.5, "gray": 1, "noise": 1e6}
        limits |= {"salt_pepper": 1, "erase": 1, "policy_count": 100, "policy_magnitude": LARGEST_MAGNITUDE}
        for name, high in limits.items():
            within("Augment", name, getattr(self, name), 0, high)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        images = self._recolored(self._moved(images, generator), generator)
        images = image_noise(images, self.noise, generator)
        images = salt_pepper(images, self.salt_pepper, generator)
        if self.erase:
            images = random_erase(images, generator, self.erase, fill=self.erase_fill)
        return cutout(images, self.cutout, generator)

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        together = self.flip and not self.shift  # one pass over the pixels instead of two
        images = pad_crop(images, self.pad, generator, self.mode, mirror=together)
        if self.shift:
            images = shift(images, self.shift, generator, self.mode)
        if self.flip and not together:
            images = flip(images, generator)
        if not (self.rotate or self.scale or self.shear or self.translate):
            return images
        return random_affine(
            images,
            generator,
            degrees=self.rotate,
            scale=self.scale,
            shear=self.shear,
            translate=self.translate,
            border=self.border,
        )

    def _recolored(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if self.policy_count:
            images = policy(images, self.policy_count, self.policy_magnitude, generator)
        if self.brightness or self.contrast or self.saturation or self.hue:
            images = color_jitter(
                images,
                generator,
                brightness=self.brightness,
                contrast=self.contrast,
                saturation=self.saturation,
                hue=self.hue,
            )
        if not self.gray:
            return images
        chosen = uniform((len(images), 1, 1, 1), generator, images.device) < self.gray
        return torch.where(chosen, grayscale(images), images)
