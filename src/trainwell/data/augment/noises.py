"""Noise on inputs and on labels.

image_noise    x + std · z, z ~ N(0, 1) for each value, kept in 0 … 255
salt_pepper    a share of the pixels becomes black or white, each half of the time
feature_noise  x + std · s_f · z, s_f the standard deviation of feature f
label_noise    a share of the labels becomes one of the other classes, each as likely
"""

import torch
from torch import Tensor

from trainwell.data.augment.draws import normal, uniform, whole, within
from trainwell.data.augment.values import WHITE, as_float, clipped
from trainwell.errors import InputError


def image_noise(images: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Add Gaussian noise of ``std`` (in units of 0 … 255) to images (N, C, H, W), uint8 or float in 0 … 255."""
    within("image_noise", "std", std, 0, float("inf"))
    if std == 0:
        return images
    x = as_float(images)
    return clipped(x + std * normal(images.shape, generator, x), images)


def salt_pepper(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Blacken or whiten a share of the pixels of (N, C, H, W), all channels of a pixel together."""
    within("salt_pepper", "share", share, 0, 1)
    if share == 0:
        return images
    count, _, height, width = images.shape
    drawn = uniform((count, 1, height, width), generator, images.device)
    images = torch.where(drawn < share / 2, 0, images)
    return torch.where((drawn >= share / 2) & (drawn < share), images.new_tensor(WHITE), images)


def feature_std(x: Tensor) -> Tensor:
    """Standard deviation (divided by n) of the last axis over all others, ignoring NaN; 0 where nothing is known."""
    flat = x.reshape(-1, x.shape[-1])
    known = flat.isfinite()
    count = known.sum(0).clamp_min(1)
    mean = torch.where(known, flat, 0).sum(0) / count
    return (torch.where(known, flat - mean, 0).square().sum(0) / count).sqrt()


def feature_noise(x: Tensor, std: float, generator: torch.Generator, scale: Tensor | None = None) -> Tensor:
    """Add Gaussian noise to float features (N, F) or (N, T, F); NaN stays NaN.

    Args:
        x: features; the last axis tells them apart.
        std: of the noise, in units of each feature's own standard deviation.
        generator: source of the noise.
        scale: standard deviations of the features, (F,), best of the training part; those of this batch if None.
    """
    within("feature_noise", "std", std, 0, float("inf"))
    if std == 0 or x.shape[-1] == 0:
        return x
    if scale is not None and scale.shape not in ((), x.shape[-1:]):
        raise InputError(
            f"feature_noise: {tuple(scale.shape)} standard deviations for {x.shape[-1]} features.",
            "Give one for each feature.",
        )
    unit = feature_std(x) if scale is None else scale.to(x.device, x.dtype)
    return x + (std * unit) * normal(x.shape, generator, x)


def label_noise(y: Tensor, share: float, classes: int, generator: torch.Generator) -> Tensor:
    """Replace each label, with probability ``share``, by one of the other classes, all as likely.

    So ``share`` is the share of wrong labels: labels drawn anew from all K classes, as in Zhang et al. 2017
    (arXiv:1611.03530), with probability p are wrong with probability p · (K − 1) / K.

    Args:
        y: integer labels of any shape; those below 0 (ignored ones) stay.
        share: in [0, 1].
        classes: K, at least 2.
        generator: source of what is replaced, and by what.
    """
    within("label_noise", "share", share, 0, 1)
    if classes < 2 or y.is_floating_point():
        raise InputError(
            f"label_noise: {classes} classes, labels {y.dtype}.", "Use integer labels of 2 classes or more."
        )
    hit = (uniform(y.shape, generator, y.device) < share) & (y >= 0)
    step = whole(y.shape, generator, y.device, 1, classes - 1)
    return torch.where(hit, ((y + step) % classes).to(y.dtype), y)
