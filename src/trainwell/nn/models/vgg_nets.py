"""VGG-like networks: nothing but 3×3 convolutions and 2×2 max-pools, twice the channels after each pool up to eight.

    depth 11    1, 1, 2, 2, 2 convolutions in the five stages      (VGG's A)
    depth 13    2, 2, 2, 2, 2                                      (B)
    depth 16    2, 2, 3, 3, 3                                      (D)

with 64, 128, 256, 512 and 512 channels. The three fully connected layers that the depth counts, which held nine tenths
of VGG's parameters, are one linear layer on the channels' means here, and convolutions are normalized, as has become
usual for small images. A stage ends in a pool if that leaves two pixels a side (the last stage: one).
Source: Simonyan & Zisserman 2015, "Very Deep Convolutional Networks", table 1, arXiv:1409.1556; normalization: Ioffe &
Szegedy 2015, arXiv:1502.03167.
"""

from torch import nn

from trainwell.errors import InputError
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces
from trainwell.nn.normalization.norms import norm as norm_named

_STAGES = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}


def vgg(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 64,
    depth: int = 11,
    activation: str = "relu",
    norm: str = "batch",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a VGG-like network for images of any size.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        width: channels of the first stage; the others have 2, 4, 8 and 8 times as many.
        depth: 11, 13 or 16: VGG's count of layers, of which 8, 10 or 13 are convolutions.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``; with ``none`` the convolutions have biases.
        dropout: share of the last channels silenced in training, 0 … 1.

    Raises:
        ValueError: if the samples are no images, or the depth is not one of these.
    """
    if len(inputs) != 3:
        raise ValueError(f"vgg takes images (C, H, W), these samples have shape {inputs}. Use mlp.")
    if depth not in _STAGES:
        raise InputError(f"vgg has no depth={depth}.", f"Use one of {', '.join(map(str, _STAGES))}.")
    layers: list[nn.Module] = []
    now, side = inputs[0], min(inputs[1:])
    for stage, count in enumerate(_STAGES[depth]):
        channels = width * min(8, 2**stage)
        for _ in range(count):
            convolution = nn.Conv2d(now, pieces(activation) * channels, 3, padding=1, bias=norm == "none")
            nn.init.normal_(convolution.weight, std=gain(activation) * convolution.weight[0].numel() ** -0.5)
            if convolution.bias is not None:
                nn.init.zeros_(convolution.bias)
            normalization = norm_named(norm, convolution.out_channels, 2)
            layers += [convolution, normalization, activation_named(activation)]
            now = channels
        if side >= (2 if stage == 4 else 4):  # no convolution sees a single pixel
            layers.append(nn.MaxPool2d(2))
            side //= 2
    head = nn.Linear(now, outputs)
    nn.init.normal_(head.weight, std=now**-0.5)
    nn.init.zeros_(head.bias)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), head)
