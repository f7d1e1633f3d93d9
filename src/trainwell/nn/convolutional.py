"""A small residual convolutional network for images from 8×8 to a few hundred pixels.

    stem:      conv → norm → φ               (a patch embedding where the image is larger than 63 pixels)
    stage:     conv, stride 2 → norm → φ → x + φ(norm(conv(φ(norm(conv(x))))))    twice the channels, half the pixels
    head:      global average → linear

The image is halved until about 4×4 to 8×8 pixels are left. The scale of the last normalization in each branch starts
at zero, so every block starts as the identity (Goyal et al. 2017, §5.1, arXiv:1706.02677). The shape follows the
ResNet-9 of Page 2018 ("How to train your ResNet"), with strided convolutions in place of pooling: on CPU in bfloat16
a step takes two thirds of the time.
"""

import math

from torch import Tensor, nn

from trainwell.nn.activations import activation as activation_named


class ConvNorm(nn.Sequential):
    """Convolution, batch normalization, activation."""

    def __init__(self, channels_in: int, channels_out: int, activation: str, kernel: int = 3, stride: int = 1) -> None:
        padding = (kernel - 1) // 2 if kernel % 2 else 0
        super().__init__(
            nn.Conv2d(channels_in, channels_out, kernel, stride, padding=padding, bias=False),
            nn.BatchNorm2d(channels_out),
            activation_named(activation),
        )


class ConvBlock(nn.Module):
    """Add to x two convolutions of it, the second of which starts at zero."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        self.conv1 = ConvNorm(channels, channels, activation)
        self.conv2 = ConvNorm(channels, channels, activation)
        nn.init.zeros_(self.conv2[1].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(self.conv1(x))


def cnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 32,
    blocks: int = 1,
    activation: str = "relu",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a residual convolutional network that adapts to the image's size.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of the stem; each stage doubles them.
        blocks: residual blocks a stage.
        activation: one of ``trainwell.nn.activations.ACTIVATIONS``.
        dropout: share of the averaged features silenced in training, 0 … 1.
    """
    channels, height, side = inputs
    side = min(height, side)
    patch = 2 ** max(0, int(math.log2(side / 32)))
    stages = min(3, max(1, math.ceil(math.log2(side / patch)) - 2))
    layers: list[nn.Module] = [ConvNorm(channels, width, activation, kernel=3 if patch == 1 else patch, stride=patch)]
    for stage in range(stages):
        now = width * 2 ** (stage + 1)
        layers.append(ConvNorm(now // 2, now, activation, stride=2))
        layers += [ConvBlock(now, activation) for _ in range(blocks)]
    head = nn.Linear(width * 2**stages, outputs)
    net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), head)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    nn.init.zeros_(head.bias)
    return net
