"""A small convolutional network for images from 8×8 to a few hundred pixels that learns within few epochs.

    stem:   conv 3×3 → norm → φ;    disjoint patches instead of 3×3 windows, where the image is larger than 63 pixels
    stage:  conv 3×3 → max-pool 2×2 → norm → φ, then (depth − 1) times conv 3×3 → norm → φ;    twice the channels
    head:   largest value of each channel → linear, scaled by 1/8

Images are halved until 3 to 7 pixels are left, at most three times. All convolutions but the stem start as the
identity on the channels that they read (the rest of their filters from Kaiming's normal distribution), so the signal
passes unchanged at the start and no shortcut is needed. The scale of the head keeps SGD's step on it 64 times smaller
than on the rest, since its inputs are maxima, far from zero mean. Shape, identity start and scale follow Jordan 2024,
"94% on CIFAR-10 in 3.29 Seconds on a Single GPU", §2–3, arXiv:2404.00498.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import pieces
from trainwell.nn.normalization.norms import norm as norm_named


class ScaledLinear(nn.Linear):
    """A linear layer whose product with the weight is multiplied by a constant: y = scale · W x + b."""

    def __init__(self, features_in: int, features_out: int, scale: float) -> None:
        super().__init__(features_in, features_out)
        self.scale = scale

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input * self.scale, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, scale={self.scale}"


class GlobalMaxPool(nn.Module):
    """Take the largest value of each channel: (N, C, H, W) → (N, C).

    Unlike ``nn.AdaptiveMaxPool2d``, its gradient is deterministic on CUDA too; equal maxima share it.
    """

    layer_kind = "pool"

    def forward(self, x: Tensor) -> Tensor:
        return x.amax((2, 3))


@torch.no_grad()
def pass_through_(weight: Tensor) -> Tensor:
    """Let a kernel's first in_channels filters copy their channel; fill the other filters by Kaiming's rule, in place.

    Args:
        weight: shape (out_channels, in_channels, *kernel), out_channels ≥ in_channels, odd kernel sizes.
    """
    nn.init.kaiming_normal_(weight, nonlinearity="relu")
    nn.init.dirac_(weight[: weight.shape[1]])
    return weight


def cnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 64,
    depth: int = 2,
    activation: str = "gelu",
    norm: str = "batch",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a convolutional network that adapts to the image's size.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of the first stage; each further one doubles them, the stem has three eighths.
        depth: convolutions a stage, at least 1.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``; convolutions have a bias, from 0, where it has no shift.
        dropout: share of the features before the head silenced in training, 0 … 1.

    Raises:
        ValueError: if the samples are no images, or the activation or the norm is not known.
    """
    if len(inputs) != 3:
        raise ValueError(f"cnn takes images (C, H, W), these samples have shape {inputs}. Use mlp.")
    channels, side = inputs[0], min(inputs[1:])
    patch = 2 ** max(0, math.floor(math.log2(side / 32)))
    stages = min(3, max(1, round(math.log2(side / patch)) - 2))
    many = pieces(activation)  # channels that make one
    now = max(8, 3 * width // 8)
    first, biased = _normed(norm, many * now)
    stem = nn.Conv2d(channels, many * now, 3, padding=1, bias=biased)
    if patch > 1:
        stem = nn.Conv2d(channels, many * now, patch, stride=patch, bias=biased)
    nn.init.kaiming_normal_(stem.weight, nonlinearity="relu")
    layers: list[nn.Module] = [stem, first, activation_named(activation)]
    for stage in range(stages):
        for index in range(depth):
            before, now = now, max(now, width * 2**stage)
            normed, biased = _normed(norm, many * now)
            convolution = nn.Conv2d(before, many * now, 3, padding=1, bias=biased)
            pass_through_(convolution.weight)
            pool = [nn.MaxPool2d(2)] if index == 0 else []
            layers += [convolution, *pool, normed, activation_named(activation)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d) and layer.bias is not None:
            nn.init.zeros_(layer.bias)
    head = ScaledLinear(now, outputs, scale=1 / 8)
    nn.init.kaiming_normal_(head.weight, nonlinearity="linear")
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, GlobalMaxPool(), nn.Dropout(dropout), head)


def _normed(name: str, channels: int) -> tuple[nn.Module, bool]:
    """The normalization, and whether a convolution before it needs a bias: it does if the norm has no shift."""
    layer = norm_named(name, channels, 2)
    return layer, getattr(layer, "bias", None) is None
