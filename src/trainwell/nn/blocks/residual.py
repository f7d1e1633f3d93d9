"""Blocks of convolutional networks: plain, residual (basic, bottleneck), and pre-activated.

    plain          φ(n(W n,φ(W x)))                              no way round
    basic          φ(shortcut(x) + n_2 W_2 φ n_1 W_1 x)          two 3×3 convolutions
    bottleneck     φ(shortcut(x) + n_3 W_3 φ n_2 W_2 φ n_1 W_1 x)    1×1 to a quarter of the channels, 3×3, 1×1 back
    preactivation  shortcut(x) + W_2 φ n_2 W_1 φ n_1 x           nothing but additions on the way from end to end

n normalizes, φ is the activation. A block that starts as its shortcut has a zero in its branch: the scale of the last
normalization ("zero γ": Goyal et al. 2017, §5.1, arXiv:1706.02677), or the last convolution where there is no scale at
the end of the branch. A pre-activated block's projection reads φ n_1 x, as in the authors' code, and has no
normalization of its own. The stride of a bottleneck is that of its 3×3 convolution (Goyal et al.; He et al.: the first
1×1, which throws three of four pixels away).
Source: He et al. 2016, "Deep Residual Learning", §3.2 and Fig. 5, arXiv:1512.03385; He et al. 2016b, "Identity Mappings
in Deep Residual Networks", Fig. 1b, arXiv:1603.05027.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.blocks.shortcuts import shortcut
from trainwell.nn.blocks.squeeze_excite import SqueezeExcite
from trainwell.nn.blocks.stochastic_depth import StochasticDepth
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import pieces
from trainwell.nn.normalization.local_response import LocalResponse
from trainwell.nn.normalization.norms import norm as norm_named


@dataclass(frozen=True)
class Style:
    """What the blocks of one network have in common.

    Attributes:
        activation: one of ``trainwell.nn.ACTIVATIONS`` that keeps the number of channels (not maxout).
        norm: one of ``trainwell.nn.NORMS``; with ``none`` the convolutions have biases.
        shortcut: one of ``trainwell.nn.SHORTCUTS``.
        squeeze_excite: whether the branch ends in channel gates.
        identity_start: whether each residual block starts as its shortcut.
    """

    activation: str = "relu"
    norm: str = "batch"
    shortcut: str = "pad"
    squeeze_excite: bool = False
    identity_start: bool = True

    def __post_init__(self) -> None:
        if pieces(self.activation) != 1:
            raise InputError(
                f"activation={self.activation!r} makes one channel of {pieces(self.activation)}, "
                "and a residual stream keeps its channels.",
                "Use it in vgg, lenet5 or mlp, or another activation here.",
            )

    def convolution(self, channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Conv2d:
        """A convolution that keeps the image's size at stride 1, with a bias if no normalization follows."""
        bias = self.norm == "none"
        return nn.Conv2d(channels_in, channels_out, size, stride, padding=size // 2, bias=bias)

    def normalization(self, channels: int) -> nn.Module:
        return norm_named(self.norm, channels, 2)

    def nonlinearity(self) -> nn.Module:
        return activation_named(self.activation)

    def shortcut_of(self, channels_in: int, channels_out: int, stride: int) -> nn.Module:
        return shortcut(self.shortcut, channels_in, channels_out, stride, norm=self.norm)

    def gates(self, channels: int) -> nn.Module:
        return SqueezeExcite(channels, activation=self.activation) if self.squeeze_excite else nn.Identity()


class PlainBlock(nn.Module):
    """Two 3×3 convolutions, each normalized and activated, without a way round."""

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1, *, style: Style | None = None) -> None:
        super().__init__()
        style = style or Style()
        self.conv1 = style.convolution(channels_in, channels_out, 3, stride)
        self.norm1 = style.normalization(channels_out)
        self.activation1 = style.nonlinearity()
        self.conv2 = style.convolution(channels_out, channels_out, 3)
        self.norm2 = style.normalization(channels_out)
        self.gates = style.gates(channels_out)
        self.activation2 = style.nonlinearity()

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation1(self.norm1(self.conv1(x)))
        return self.activation2(self.gates(self.norm2(self.conv2(h))))


class BasicBlock(nn.Module):
    """Residual block of two 3×3 convolutions: (N, channels_in, H, W) → (N, channels_out, ⌈H/s⌉, ⌈W/s⌉).

    Args:
        channels_in: of the input.
        channels_out: of the output.
        stride: s.
        style: what it shares with the other blocks.
        survival: probability that the branch takes part in a step of training (stochastic depth); 1: always.
    """

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, *, style: Style | None = None, survival: float = 1.0
    ) -> None:
        super().__init__()
        style = style or Style()
        self.conv1 = style.convolution(channels_in, channels_out, 3, stride)
        self.norm1 = style.normalization(channels_out)
        self.activation1 = style.nonlinearity()
        self.conv2 = style.convolution(channels_out, channels_out, 3)
        self.norm2 = style.normalization(channels_out)
        self.gates = style.gates(channels_out)
        self.depth = StochasticDepth(survival)
        self.shortcut = style.shortcut_of(channels_in, channels_out, stride)
        self.activation2 = style.nonlinearity()
        if style.identity_start:
            self.start_as_shortcut_()

    def start_as_shortcut_(self) -> None:
        """Set the branch to zero."""
        silence_(self.conv2, self.norm2)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation1(self.norm1(self.conv1(x)))
        branch = self.depth(self.gates(self.norm2(self.conv2(h))))
        return self.activation2(self.shortcut(x) + branch)


class Bottleneck(nn.Module):
    """Residual block 1×1 → 3×3 → 1×1 with a quarter of the channels inside; arguments as of ``BasicBlock``."""

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, *, style: Style | None = None, survival: float = 1.0
    ) -> None:
        super().__init__()
        style, inner = style or Style(), quarter(channels_out)
        self.conv1 = style.convolution(channels_in, inner, 1)
        self.norm1 = style.normalization(inner)
        self.activation1 = style.nonlinearity()
        self.conv2 = style.convolution(inner, inner, 3, stride)
        self.norm2 = style.normalization(inner)
        self.activation2 = style.nonlinearity()
        self.conv3 = style.convolution(inner, channels_out, 1)
        self.norm3 = style.normalization(channels_out)
        self.gates = style.gates(channels_out)
        self.depth = StochasticDepth(survival)
        self.shortcut = style.shortcut_of(channels_in, channels_out, stride)
        self.activation3 = style.nonlinearity()
        if style.identity_start:
            self.start_as_shortcut_()

    def start_as_shortcut_(self) -> None:
        """Set the branch to zero."""
        silence_(self.conv3, self.norm3)

    def forward(self, x: Tensor) -> Tensor:
        h = self.activation1(self.norm1(self.conv1(x)))
        h = self.activation2(self.norm2(self.conv2(h)))
        branch = self.depth(self.gates(self.norm3(self.conv3(h))))
        return self.activation3(self.shortcut(x) + branch)


class PreactivationBlock(nn.Module):
    """Residual block that normalizes and activates before each convolution, so that shortcuts add up unchanged.

    Args:
        channels_in: of the input.
        channels_out: of the output.
        stride: s.
        style: what it shares with the other blocks.
        survival: probability that the branch takes part in a step of training (stochastic depth); 1: always.
        bottleneck: 1×1 → 3×3 → 1×1 with a quarter of the channels inside, instead of two 3×3 convolutions.
    """

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        *,
        style: Style | None = None,
        survival: float = 1.0,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        style = style or Style()
        inner = quarter(channels_out) if bottleneck else channels_out
        shapes = [(channels_in, inner, 3, stride), (inner, channels_out, 3, 1)]
        if bottleneck:
            shapes = [(channels_in, inner, 1, 1), (inner, inner, 3, stride), (inner, channels_out, 1, 1)]
        self.norms = nn.ModuleList(style.normalization(shape[0]) for shape in shapes)
        self.activations = nn.ModuleList(style.nonlinearity() for _ in shapes)
        self.convs = nn.ModuleList(style.convolution(*shape) for shape in shapes)
        self.gates = style.gates(channels_out)
        self.depth = StochasticDepth(survival)
        bias = style.norm == "none"
        self.shortcut = shortcut(style.shortcut, channels_in, channels_out, stride, norm="none", bias=bias)
        self.projects = isinstance(self.shortcut, nn.Sequential)
        if style.identity_start:
            self.start_as_shortcut_()

    def start_as_shortcut_(self) -> None:
        """Set the branch to zero."""
        silence_(self.convs[-1])

    def forward(self, x: Tensor) -> Tensor:
        h = ready = self.activations[0](self.norms[0](x))
        for index, convolution in enumerate(self.convs):
            if index > 0:
                h = self.activations[index](self.norms[index](h))
            h = convolution(h)
        return self.shortcut(ready if self.projects else x) + self.depth(self.gates(h))


@torch.no_grad()
def silence_(convolution: nn.Module, norm: nn.Module | None = None) -> None:
    """Make a branch that ends in this convolution and normalization give zero, in place.

    The normalization's scale becomes zero; without a normalization, the convolution and its bias do. One that divides
    by the standard deviation and has no scale is left alone: it would blow any start up to unit size in one step.
    """
    scale = getattr(norm, "weight", None)
    if isinstance(scale, nn.Parameter):
        scale.zero_()
    elif norm is None or isinstance(norm, nn.Identity | LocalResponse):
        for parameter in convolution.parameters():
            parameter.zero_()


def quarter(channels: int) -> int:
    """Return channels / 4.

    Raises:
        ValueError: if 4 does not divide them.
    """
    if channels % 4:
        raise ValueError(f"A bottleneck with {channels} channels: 4 does not divide them. Use a multiple of 4.")
    return channels // 4
