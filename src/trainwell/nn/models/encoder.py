"""A small transformer encoder for sequences and images.

    h_0 = E x + P,    h ← h + attend(norm(h)),    h ← h + V drop(φ(W norm(h))),    y = W' mean_t norm(h_t) + b'

    attend(x) = O concat_k softmax(Q_k K_kᵀ / √d) V_k,    d = width / heads

This is pre-norm: the shortcut is untouched from end to end, so no warm-up is needed. Post-norm is
h ← norm(h + attend(h)), without a norm at the end. The last matrices of the branches, O and V, start 1/√(2·depth)
smaller, so that the sum of 2·depth branches has the size of one. Without positions the net doesn't see the order of
its tokens: permuting them permutes h, and leaves y alone.
Sources: Vaswani et al. 2017, arXiv:1706.03762; pre-norm: Xiong et al. 2020, arXiv:2002.04745; scale of the branches:
Radford et al. 2019, §2.3; patches: Dosovitskiy et al. 2021, arXiv:2010.11929.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.models.feedforward import scaled_linear
from trainwell.nn.models.recurrent import MeanOverTime
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces

POSITIONS = ("learned", "sinusoidal", "none")
_NORMS = {"layer": nn.LayerNorm, "rms": nn.RMSNorm, "none": nn.Identity}


class Attention(nn.Module):
    """Multi-head self-attention: (N, T, width) → (N, T, width).

    The CPU's fused kernel has no second derivative: wrap Hessian–vector products in
    ``torch.nn.attention.sdpa_kernel(SDPBackend.MATH)``.

    Args:
        width: units of a token, a multiple of heads.
        heads: how many attend side by side.
        dropout: share of attention weights silenced in training.
        factor: of the output matrix's start.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, factor: float = 1.0) -> None:
        super().__init__()
        if heads < 1 or width % heads:
            raise InputError(
                f"Attention: {heads} heads do not divide a width of {width}.", "Make the width a multiple of the heads."
            )
        self.heads, self.dropout = heads, dropout
        self.read = scaled_linear(width, 3 * width, 1.0)
        self.write = scaled_linear(width, width, factor)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.read(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # each (N, heads, T, d)
        mixed = F.scaled_dot_product_attention(q, k, v, dropout_p=self.dropout if self.training else 0.0)
        return self.write(mixed.transpose(1, 2).flatten(2))


class EncoderBlock(nn.Module):
    """Attention and a two-layer perceptron four times as wide, each beside a shortcut; see the file's formula."""

    def __init__(
        self, width: int, heads: int, depth: int, activation: str, norm: str, dropout: float, norm_first: bool
    ) -> None:
        super().__init__()
        factor = (2 * depth) ** -0.5
        self.norm_first = norm_first
        self.norm1, self.norm2 = _NORMS[norm](width), _NORMS[norm](width)
        self.attention = Attention(width, heads, dropout, factor)
        self.linear1 = scaled_linear(width, 4 * width, 1.0)
        self.activation = activation_named(activation)
        self.linear2 = scaled_linear(4 * width, width, factor * gain(activation))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_first:
            x = x + self.dropout(self.attention(self.norm1(x)))
            return x + self.mlp(self.norm2(x))
        x = self.norm1(x + self.dropout(self.attention(x)))
        return self.norm2(x + self.mlp(x))

    def mlp(self, x: Tensor) -> Tensor:
        """Two layers for each token by itself."""
        return self.dropout(self.linear2(self.dropout(self.activation(self.linear1(x)))))


class Patches(nn.Module):
    """Cut images into disjoint patches and map each to a token: (N, C, H, W) → (N, T, width), row by row.

    Images whose sides are no multiples of the patch are padded with zeros on the right and below.
    """

    def __init__(self, inputs: tuple[int, ...], width: int, patch: int) -> None:
        super().__init__()
        height, breadth = inputs[1:]
        self.padding = (0, -breadth % patch, 0, -height % patch)
        self.tokens = math.ceil(height / patch) * math.ceil(breadth / patch)
        self.convolution = nn.Conv2d(inputs[0], width, patch, stride=patch)
        nn.init.kaiming_normal_(self.convolution.weight, nonlinearity="linear")
        nn.init.zeros_(self.convolution.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        return self.convolution(F.pad(images, self.padding)).flatten(2).transpose(1, 2)


def sinusoids(count: int, width: int) -> Tensor:
    """Return Vaswani et al.'s position codes, shape (count, width): sin and cos of t / 10000^{2i/width} in turn.

    Example:
        >>> sinusoids(2, 2)[1].tolist() == [math.sin(1.0), math.cos(1.0)]
        True
    """
    rates = 10000.0 ** (-torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(count, dtype=torch.float64)[:, None] * rates
    return torch.stack((angles.sin(), angles.cos()), 2).flatten(1)[:, :width]


class Positions(nn.Module):
    """Add a code of its place to every token: learned (starts at N(0, 0.02²)) or sinusoidal (a fixed buffer)."""

    layer_kind = "embedding"

    def __init__(self, tokens: int, width: int, kind: str) -> None:
        super().__init__()
        if kind == "learned":
            self.code: Tensor = nn.Parameter(0.02 * torch.randn(tokens, width))
        else:
            self.register_buffer("code", sinusoids(tokens, width).to(torch.get_default_dtype()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.code


def transformer(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 128,
    depth: int = 2,
    heads: int = 4,
    activation: str = "gelu",
    norm: str = "layer",
    norm_first: bool = True,
    dropout: float = 0.0,
    positions: str = "learned",
    patch: int | None = None,
) -> nn.Module:
    """Build a transformer encoder with a linear head on the mean of its tokens.

    Args:
        inputs: (T, F), or (C, H, W), which is cut into patches.
        outputs: number of logits or values.
        width: units of a token, a multiple of heads.
        depth: blocks of attention and perceptron, at least 0.
        heads: that attend side by side.
        activation: of the perceptrons; one of ``trainwell.nn.ACTIVATIONS`` that gives one unit for one.
        norm: ``layer``, ``rms`` or ``none``.
        norm_first: whether norms stand before the branches (pre-norm) or after the additions (post-norm).
        dropout: share of attention weights and units silenced in training, 0 … 1.
        positions: ``learned``, ``sinusoidal`` or ``none``; places of patches are counted row by row.
        patch: pixels a side; the smallest that gives at most 64 tokens if None.

    Raises:
        InputError: if the samples are no sequences or images, heads do not divide the width, or an option is not known.
    """
    if len(inputs) not in (2, 3):
        raise InputError(
            f"transformer takes sequences (T, F) or images (C, H, W); these samples have shape {inputs}.", "Use mlp."
        )
    if norm not in _NORMS:
        raise InputError(f"transformer: norm={norm!r} is not known.", f"Use one of {', '.join(_NORMS)}.")
    if positions not in POSITIONS:
        raise InputError(f"transformer: positions={positions!r} is not known.", f"Use one of {', '.join(POSITIONS)}.")
    if pieces(activation) != 1:
        raise InputError(f"transformer: {activation} joins several units to one.", "Use gelu or relu.")
    if patch is not None and patch < 1:
        raise InputError(f"transformer: patch={patch} has no pixels.", "Use 1 or more.")
    first: nn.Module
    if len(inputs) == 3:
        first = cut = Patches(inputs, width, patch or _patch_for(inputs))
        tokens = cut.tokens
    else:
        first, tokens = scaled_linear(inputs[1], width, 1.0), inputs[0]
    return nn.Sequential(
        first,
        *([Positions(tokens, width, positions)] if positions != "none" else []),
        *(EncoderBlock(width, heads, depth, activation, norm, dropout, norm_first) for _ in range(depth)),
        *([_NORMS[norm](width)] if norm_first else []),
        MeanOverTime(),
        scaled_linear(width, outputs, 0.1),
    )


def _patch_for(inputs: tuple[int, ...]) -> int:
    patch = 1
    while math.ceil(inputs[1] / patch) * math.ceil(inputs[2] / patch) > 64:
        patch += 1
    return patch
