"""LeNet-5 by its sizes: 6 and 16 channels of 5×5 windows, each followed by subsampling, then 120, 84 and the outputs.

    C1 conv 5×5, 6 → φ → S2 mean of 2×2 → C3 conv 5×5, 16 → φ → S4 mean of 2×2 → C5 120 → φ → F6 84 → φ → linear

An image shorter than 32 pixels gets two pixels of zeros at each border, as the digits of 28×28 had in 32×32 pixels; of
a longer one, C5 sees means over a grid of 5×5 cells, so that its size stays. For one channel of 28×28 pixels and 10
outputs that makes 61 706 parameters.

Simplified: every channel of C3 reads all six of S2 (table I connects some); subsampling is a mean without coefficient,
bias and squashing of its own; φ is tanh and not 1.7159 tanh(2x/3); the output is linear with cross-entropy in place of
Euclidean radial basis functions with fixed centres.
Source: LeCun, Bottou, Bengio & Haffner 1998, "Gradient-based learning applied to document recognition", §II-B.
"""

from torch import nn

from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces

_SMALLEST, _GRID = 12, 5


def lenet5(inputs: tuple[int, ...], outputs: int, *, activation: str = "tanh", dropout: float = 0.0) -> nn.Module:
    """Build LeNet-5 for images of at least 12 pixels a side.

    Args:
        inputs: (C, H, W) of one image.
        outputs: number of logits or values.
        activation: φ, one of ``trainwell.nn.ACTIVATIONS``.
        dropout: share of the 84 last units silenced in training, 0 … 1.

    Raises:
        ValueError: if the samples are no images, or too small ones.
    """
    if len(inputs) != 3:
        raise ValueError(f"lenet5 takes images (C, H, W), these samples have shape {inputs}. Use mlp.")
    if min(inputs[1:]) < _SMALLEST:
        raise ValueError(
            f"lenet5 takes images of at least {_SMALLEST} pixels a side, these have {inputs[1]}×{inputs[2]}: two 5×5 "
            "convolutions and two halvings would leave nothing. Use cnn or resnet20."
        )
    several = pieces(activation)
    padding = 2 if min(inputs[1:]) < 32 else 0
    sides = [((side + 2 * padding - 4) // 2 - 4) // 2 for side in inputs[1:]]
    cells = [min(_GRID, side) for side in sides]
    steps = [max(1, side // _GRID) for side in sides]
    windows = [side - (cell - 1) * step for side, cell, step in zip(sides, cells, steps, strict=True)]
    layers: list[nn.Module] = [
        nn.Conv2d(inputs[0], 6 * several, 5, padding=padding),
        activation_named(activation),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16 * several, 5),
        activation_named(activation),
        nn.AvgPool2d(2),
        nn.AvgPool2d((windows[0], windows[1]), (steps[0], steps[1])) if max(windows) > 1 else nn.Identity(),
        nn.Flatten(),
        nn.Linear(16 * cells[0] * cells[1], 120 * several),
        activation_named(activation),
        nn.Linear(120, 84 * several),
        activation_named(activation),
        nn.Dropout(dropout),
        nn.Linear(84, outputs),
    ]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            factor = 1.0 if layer is layers[-1] else gain(activation)
            nn.init.normal_(layer.weight, std=factor * layer.weight[0].numel() ** -0.5)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(*layers)
