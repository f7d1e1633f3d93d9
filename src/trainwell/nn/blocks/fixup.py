"""Fixup: residual branches that need no normalization, because of how they start.

    basic        φ(shortcut(x + a_1) + s W_2 (φ(W_1 (x + a_1) + a_2) + a_3) + a_4)
    bottleneck   the same with W_1 of 1×1, W_2 of 3×3 and W_3 of 1×1 and a shift before each convolution and activation

a_i are scalar shifts (0 at the start), s a scalar factor (1). In a net of L branches of m convolutions each, the last
convolution of every branch and the classifier start at zero, the others at Kaiming's standard deviation times

    L^{−1/(2m−2)},

so that one step of size η changes the function by Θ(η) whatever the depth. With Kaiming's own scale in all layers E x²
doubles in every block (where the branch's last convolution has gain 1; with √2 it triples).
Source: Zhang, Dauphin & Ma 2019, "Fixup Initialization: Residual Learning Without Normalization", §3, eqs. 5–8 and the
box "Fixup", arXiv:1901.09321.
"""

import math

import torch
from torch import Tensor, nn

from trainwell.nn.blocks.residual import Style, quarter, silence_
from trainwell.nn.blocks.shortcuts import shortcut
from trainwell.nn.blocks.stochastic_depth import StochasticDepth
from trainwell.nn.nonlinear.activations import gain


def fixup_scale(branches: int, layers: int) -> float:
    """Return L^{−1/(2m−2)}, the factor on Kaiming's standard deviation inside the branches.

    Args:
        branches: L, residual branches in the net, at least 1.
        layers: m, convolutions in a branch, at least 2: the last of them starts at zero.

    Raises:
        ValueError: if either is too small.

    Example:
        >>> round(fixup_scale(50, 2), 4)
        0.1414
    """
    if branches < 1 or layers < 2:
        raise ValueError(
            f"fixup_scale: {branches} branches of {layers} layers. Use 1 branch and 2 layers or more: the last is zero."
        )
    return float(branches ** (-1 / (2 * layers - 2)))


class ScalarShift(nn.Module):
    """Add one learned number, 0 at the start, to everything."""

    layer_kind = "other"

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.bias


class ScalarScale(nn.Module):
    """Multiply everything by one learned number, 1 at the start."""

    layer_kind = "other"

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class FixupBlock(nn.Module):
    """Residual block without normalization: (N, channels_in, H, W) → (N, channels_out, ⌈H/s⌉, ⌈W/s⌉).

    Args:
        channels_in: of the input.
        channels_out: of the output.
        stride: s, of the 3×3 convolution (of the first of two).
        branches: L, how many blocks the whole net has; the start depends on it.
        style: activation, shortcut and gates; its norm is not used. A projection has neither bias nor normalization.
        survival: probability that the branch takes part in a step of training (stochastic depth); 1: always.
        bottleneck: 1×1 → 3×3 → 1×1 with a quarter of the channels inside, instead of two 3×3 convolutions.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        *,
        branches: int,
        style: Style | None = None,
        survival: float = 1.0,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        style = style or Style(norm="none")
        inner = quarter(channels_out) if bottleneck else channels_out
        shapes = [(channels_in, inner, 3, stride), (inner, channels_out, 3, 1)]
        if bottleneck:
            shapes = [(channels_in, inner, 1, 1), (inner, inner, 3, stride), (inner, channels_out, 1, 1)]
        self.convs = nn.ModuleList(
            nn.Conv2d(before, after, size, step, padding=size // 2, bias=False) for before, after, size, step in shapes
        )
        self.before_conv = nn.ModuleList(ScalarShift() for _ in shapes)
        self.before_activation = nn.ModuleList(ScalarShift() for _ in shapes)
        self.activations = nn.ModuleList(style.nonlinearity() for _ in shapes)
        self.scale = ScalarScale()
        self.gates = style.gates(channels_out)
        self.depth = StochasticDepth(survival)
        self.shortcut = shortcut(style.shortcut, channels_in, channels_out, stride, norm="none", bias=False)
        self.factor = gain(style.activation) * fixup_scale(branches, len(shapes))
        self.start_()

    @torch.no_grad()
    def start_(self) -> None:
        """Draw the branch's convolutions by Fixup's rule; the last becomes zero."""
        for convolution in self.convs[:-1]:
            weight: Tensor = convolution.weight  # type: ignore[assignment]
            nn.init.normal_(weight, std=self.factor / math.sqrt(weight[0].numel()))
        silence_(self.convs[-1])

    def forward(self, x: Tensor) -> Tensor:
        h = x = self.before_conv[0](x)
        last = len(self.convs) - 1
        for index in range(last):
            h = self.activations[index](self.before_activation[index](self.convs[index](h)))
            h = self.before_conv[index + 1](h)
        h = self.before_activation[last](self.scale(self.convs[last](h)))
        return self.activations[last](self.shortcut(x) + self.depth(self.gates(h)))
