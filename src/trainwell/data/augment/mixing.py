"""Train on mixtures of two samples.

    mixup    x = λ·xᵢ + (1 − λ)·xⱼ                                        λ ~ Beta(α, α)
    cutmix   a rectangle of area 1 − λ of image i is replaced by that of j;  λ becomes the exact share that is left

The target is i's with weight λ and j's with weight 1 − λ; j = π(i) for a random permutation π of the batch.

Sources: Zhang et al. 2018, "mixup", eq. 1, arXiv:1710.09412; Yun et al. 2019, "CutMix", §3.1, arXiv:1905.04899.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.data.augment.draws import uniform, within
from trainwell.data.augment.erasing import rectangle
from trainwell.errors import InputError

CACHED = 2**17
"""Values of a piece, half a MiB as float32."""


@dataclass(frozen=True)
class Mixed:
    """A mixed batch. A loss that is not linear in the target is share · loss(out, y) + (1 − share) · loss(out, other).

    Attributes:
        x: inputs, as they came; images mixed by mixup are float32 in 0 … 255.
        y: targets of the samples themselves, (N, …).
        other: targets of their partners, (N, …).
        share: λ, the weight of ``y``, in [0, 1]: one number, shape (), or one a sample, shape (N,).
    """

    x: Any
    y: Tensor
    other: Tensor
    share: Tensor

    def soft(self, classes: int) -> Tensor:
        """Targets as probabilities, (N, classes): share · e_y + (1 − share) · e_other.

        Integer labels below 0 (ignored ones) have no part in it. Targets that are already (N, classes) are mixed.

        Raises:
            InputError: if a label is not below ``classes``.
        """
        share = self.share.unsqueeze(1) if self.share.dim() else self.share
        own, partner = _unit_vectors(self.y, classes), _unit_vectors(self.other, classes)
        return own * share + partner * (1 - share)


def _unit_vectors(y: Tensor, classes: int) -> Tensor:
    if y.is_floating_point():
        return y
    if y.numel() and int(y.max()) >= classes:
        raise InputError(
            f"Mixed.soft: label {int(y.max())} with {classes} classes.", "Labels run from 0 to classes − 1."
        )
    return (y.unsqueeze(1) == torch.arange(classes, device=y.device)).to(torch.float32)


def beta_shares(alpha: float, count: int, generator: torch.Generator) -> Tensor:
    """Draw ``count`` numbers of Beta(α, α), float32, on the generator's device.

    A / (A + B) for A, B ~ Gamma(α), in logarithms: Gamma(α) = Gamma(α + 1) · U^{1/α} underflows for small α, its
    logarithm does not.

    Raises:
        InputError: if α is not above 0.
    """
    if not 0 < alpha < float("inf"):
        raise InputError(f"alpha={alpha} is no parameter of a Beta distribution.", "Use a number above 0, such as 0.2.")
    shape = torch.full((2, count), alpha + 1, dtype=torch.float64, device=generator.device)
    gamma = torch._standard_gamma(shape, generator=generator)
    drawn = torch.rand((2, count), dtype=torch.float64, generator=generator, device=generator.device)
    logarithm = gamma.log() + torch.log1p(-drawn) / alpha
    return torch.sigmoid(logarithm[0] - logarithm[1]).to(torch.float32)


def mixup(x: Any, y: Tensor, alpha: float, generator: torch.Generator, per_sample: bool = False) -> Mixed:
    """Mix each sample with another of the batch.

    Args:
        x: images uint8 (mixed as float32), float arrays or sequences (N, …), or a table's {"numbers": float (N, F) with
            NaN for gaps, "categories": int64 (N, K)}: numbers are mixed where both are known, else kept; each category
            is the sample's own with probability λ, else the partner's.
        y: targets, (N, …).
        alpha: of Beta(α, α), above 0; the paper uses 0.1 to 0.4 on ImageNet and 1 on CIFAR.
        generator: source of shares and partners.
        per_sample: one share a sample instead of one a batch.
    """
    count = len(y)
    share = beta_shares(alpha, count if per_sample else 1, generator)
    partner = torch.randperm(count, generator=generator, device=generator.device)
    if isinstance(x, Mapping):
        mixed: Any = _mixed_rows(x, partner, share, generator)
    else:
        mixed = _mixed_numbers(x, partner.to(x.device), share.to(x.device))
    share = share if per_sample else share.squeeze(0)
    return Mixed(mixed, y, y.index_select(0, partner.to(y.device)), share.to(y.device))


def _mixed_numbers(x: Tensor, partner: Tensor, share: Tensor) -> Tensor:
    dtype = x.dtype if x.is_floating_point() else torch.float32
    weight = (1 - share).to(dtype).view(-1, *[1] * (x.dim() - 1)).expand(len(x), *[1] * (x.dim() - 1))
    if x.dtype == dtype:
        return torch.lerp(x, x.index_select(0, partner), weight)
    mixed, piece = x.to(dtype), len(x)
    if x.device.type == "cpu":  # partners in pieces that fit the cache: a fifth faster than a second float batch
        piece = max(1, CACHED // max(1, x[0].numel()))
    for first in range(0, len(x), piece):
        part = slice(first, first + piece)
        mixed[part].lerp_(x.index_select(0, partner[part]).to(dtype), weight[part])
    return mixed


def _mixed_rows(
    rows: Mapping[str, Tensor], partner: Tensor, share: Tensor, generator: torch.Generator
) -> dict[str, Tensor]:
    numbers, codes = rows["numbers"], rows["categories"]
    other = numbers.index_select(0, partner.to(numbers.device))
    both = numbers.isfinite() & other.isfinite()
    weight = (1 - share).to(numbers.device, numbers.dtype).view(-1, 1)
    mixed = torch.where(both, torch.lerp(numbers, other, weight), numbers)
    own = uniform(codes.shape, generator, codes.device) < share.to(codes.device).view(-1, 1)
    return {
        **rows,
        "numbers": mixed,
        "categories": torch.where(own, codes, codes.index_select(0, partner.to(codes.device))),
    }


def cutmix(images: Tensor, y: Tensor, alpha: float, generator: torch.Generator, per_sample: bool = False) -> Mixed:
    """Replace a rectangle of each image by the same rectangle of another of the batch.

    Its sides are √(1 − λ) of the image's, rounded down; its centre is uniform over the pixels, and what lies outside
    is cut off. The share is 1 − (its area inside) / (H·W), exactly.

    Args:
        images: (N, C, H, W), any dtype, which is kept.
        y: targets, (N, …).
        alpha: of Beta(α, α), above 0; the paper uses 1.
        generator: source of rectangles and partners.
        per_sample: one rectangle and share a sample instead of one a batch.

    Raises:
        InputError: if x is no batch of images.
    """
    if not isinstance(images, Tensor) or images.dim() != 4:
        shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"cutmix: {shape} are no images (N, C, H, W).", "Use mixup for other inputs.")
    count, _, height, width = images.shape
    share = beta_shares(alpha, count if per_sample else 1, generator).to(images.device)
    partner = torch.randperm(count, generator=generator, device=generator.device)
    centres = uniform((2, len(share)), generator, images.device)
    side = (1 - share).sqrt()
    tall, wide = (height * side).long(), (width * side).long()
    top, left = (centres[0] * height).long() - tall // 2, (centres[1] * width).long() - wide // 2
    hole = rectangle(height, width, top, left, tall, wide)  # (N or 1, H, W)
    left_over = 1 - hole.sum((1, 2)).to(torch.float32) / (height * width)
    mixed = torch.where(hole.unsqueeze(1), images.index_select(0, partner.to(images.device)), images)
    left_over = left_over if per_sample else left_over.squeeze(0)
    return Mixed(mixed, y, y.index_select(0, partner.to(y.device)), left_over.to(y.device))


@dataclass(frozen=True)
class Mixing:
    """Mix batches by mixup, by cutmix, or by either with equal chances.

    Attributes:
        mixup: α of mixup; 0 for none.
        cutmix: α of cutmix; 0 for none.
        probability: that a batch is mixed at all; else it comes back as it is, with share 1.
        per_sample: one share a sample instead of one a batch.
    """

    mixup: float = 0.0
    cutmix: float = 0.0
    probability: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        within("Mixing", "mixup", self.mixup, 0, 1e6)
        within("Mixing", "cutmix", self.cutmix, 0, 1e6)
        within("Mixing", "probability", self.probability, 0, 1)

    def __call__(self, x: Any, y: Tensor, generator: torch.Generator) -> Mixed:
        drawn = torch.rand(2, generator=generator, device=generator.device).tolist()
        if drawn[0] >= self.probability or (not self.mixup and not self.cutmix):
            ones = torch.ones(len(y) if self.per_sample else (), device=y.device)
            return Mixed(x, y, y, ones)
        if self.cutmix and (not self.mixup or drawn[1] < 0.5):
            return cutmix(x, y, self.cutmix, generator, self.per_sample)
        return mixup(x, y, self.mixup, generator, self.per_sample)
