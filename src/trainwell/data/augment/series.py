"""Augment sequences: float tensors (N, T, F).

    jitter      noise on every value, in units of the feature's standard deviation
    scaling     each feature of each sequence is multiplied by a factor of N(1, std²)
    time_shift  each sequence is moved by up to a share of its length; its first or last value fills the gap
    time_crop   a random window of each sequence is stretched back to the whole length, linearly interpolated
    time_mask   a random span of each sequence is replaced by the sequence's mean over time

Sources: Um et al. 2017, arXiv:1706.00527 (jitter, scaling); Le Guennec et al. 2016, "Data Augmentation for Time Series
Classification" (window slicing); Park et al. 2019, "SpecAugment", §2, arXiv:1904.08779 (masking).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.data.augment.draws import normal, uniform, whole, within
from trainwell.data.augment.noises import feature_noise


def scaling(x: Tensor, std: float, generator: torch.Generator) -> Tensor:
    """Multiply each feature of each sequence of (N, T, F) by its own factor of N(1, std²)."""
    within("scaling", "std", std, 0, 1e6)
    return x * (1 + std * normal((len(x), 1, x.shape[2]), generator, x)) if std else x


def time_shift(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Move each sequence of (N, T, F) by whole steps, uniform up to ± share · T; edge values are repeated."""
    within("time_shift", "share", share, 0, 1)
    count, length, _ = x.shape
    reach = int(share * length)
    if reach == 0:
        return x
    step = whole((count, 1), generator, x.device, -reach, reach)
    source = (torch.arange(length, device=x.device) + step).clamp(0, length - 1)
    return x.gather(1, source.unsqueeze(2).expand_as(x))


def time_crop(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Stretch a random window of each sequence of (N, T, F) to the length T.

    Args:
        x: sequences, T at least 2 to have any effect.
        share: largest part that is cut away; the window's length is uniform in [1 − share, 1] · (T − 1) steps.
        generator: source of the windows.
    """
    within("time_crop", "share", share, 0, 1)
    count, length, _ = x.shape
    if share == 0 or length < 2:
        return x
    drawn = uniform((2, count, 1), generator, x.device).double()
    kept = 1 - share * drawn[0]
    first = drawn[1] * (1 - kept)
    position = (first + kept * torch.linspace(0, 1, length, dtype=torch.float64, device=x.device)) * (length - 1)
    before = position.long().clamp(0, length - 2)
    weight = (position - before).to(x.dtype).unsqueeze(2)
    index = before.unsqueeze(2).expand_as(x)
    return torch.lerp(x.gather(1, index), x.gather(1, index + 1), weight)


def time_mask(x: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Replace a span of each sequence of (N, T, F), 0 to share · T steps long, by the sequence's mean over time."""
    within("time_mask", "share", share, 0, 1)
    count, length, _ = x.shape
    reach = int(share * length)
    if reach == 0:
        return x
    span = whole((count, 1), generator, x.device, 0, reach)
    first = (uniform((count, 1), generator, x.device) * (length - span + 1)).long()
    steps = torch.arange(length, device=x.device) - first
    hidden = ((steps >= 0) & (steps < span)).unsqueeze(2)
    return torch.where(hidden, x.mean(1, keepdim=True), x)


@dataclass(frozen=True)
class SequenceAugment:
    """Augment a batch of sequences (N, T, F): crop, shift, scale, jitter and mask, in this order.

    Attributes:
        jitter: standard deviation of the noise in units of each feature's own; 0 for none.
        scale: standard deviation of the factor on each feature; 0 for none.
        crop: largest share of the length that is cut away before stretching back; 0 for none.
        mask: largest share of the length that is masked; 0 for none.
        shift: largest move in time as a share of the length; 0 for none.
        std: standard deviations of the features in the training part; those of the batch if empty.
    """

    jitter: float = 0.0
    scale: float = 0.0
    crop: float = 0.0
    mask: float = 0.0
    shift: float = 0.0
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        within("SequenceAugment", "jitter", self.jitter, 0, 1e6)
        within("SequenceAugment", "scale", self.scale, 0, 1e6)
        for name in ("crop", "mask", "shift"):
            within("SequenceAugment", name, getattr(self, name), 0, 1)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        x = time_crop(x, self.crop, generator)
        x = time_shift(x, self.shift, generator)
        x = scaling(x, self.scale, generator)
        x = feature_noise(x, self.jitter, generator, torch.tensor(self.std) if self.std else None)
        return time_mask(x, self.mask, generator)
