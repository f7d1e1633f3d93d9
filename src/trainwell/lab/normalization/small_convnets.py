"""Small convolutional nets that differ in their normalization alone: 3×3 convolution, norm, ReLU, …, mean, linear.

Group normalization has groups of 8 channels here: layer normalization over 8 or fewer.
"""

from collections.abc import Callable, Sequence

import torch
from torch import nn

from trainwell.nn import norm

GROUP = 8  # channels

Norm = Callable[[int], nn.Module]


def named(name: str) -> Norm:
    """The normalization of this name as a function of the channels: one of ``trainwell.nn.NORMS``."""
    if name == "group":
        return lambda channels: nn.GroupNorm(max(1, channels // GROUP), channels)
    return lambda channels: norm(name, channels, 2)


def convnets(
    count: int, inputs: int, normed: Norm, *, widths: Sequence[int], strides: Sequence[int], seed: int
) -> list[nn.Module]:
    """Make ``count`` nets of 10 classes with Kaiming's start, the same ones for every normalization.

    Args:
        count: nets.
        inputs: channels of the pictures.
        normed: makes the normalization of so many channels.
        widths: channels of the convolutions.
        strides: of the convolutions.
        seed: of the starts; torch's own random state stays as it is.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return [_convnet(inputs, normed, widths, strides) for _ in range(count)]


def _convnet(inputs: int, normed: Norm, widths: Sequence[int], strides: Sequence[int]) -> nn.Module:
    layers: list[nn.Module] = []
    for width, stride in zip(widths, strides, strict=True):
        convolution = nn.Conv2d(inputs, width, 3, stride=stride, padding=1, bias=False)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        layers += [convolution, normed(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 10))
