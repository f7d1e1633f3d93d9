"""A linear layer of circulant blocks: n weights instead of n², by Fourier transforms.

    y = W x + b,    W = (C(c_pq))_pq,    C(c) x = F⁻¹(F c ⊙ F x)

The input is cut into q blocks of n numbers and the output into p; each pair has one circulant matrix (the last blocks
are padded and cut). A layer from n to n units is one block. Products cost n log n; at a few hundred units a dense
product is still the faster one, so what it saves is weights.
Sources: deck G, structural constraints; Cheng et al. 2015, "An Exploration of Parameter Redundancy in Deep Networks
with Circulant Projections", arXiv:1502.03436; blocks: Ding et al. 2017 (CirCNN), arXiv:1708.08917.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.models.circulant_matrices import circulant_matrix
from trainwell.nn.models.feedforward import checked_widths, scaled_linear
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces
from trainwell.nn.normalization.norms import norm as norm_named


class CirculantLinear(nn.Module):
    """Multiply the last axis by a matrix of circulant blocks: (…, features_in) → (…, features_out).

    Half precision is transformed in float32 and given back in its own type. Exported, it is a dense product.

    Args:
        features_in: numbers read.
        features_out: numbers given.
        block: n, side of a block; the smaller of both if None.
        bias: whether to add b, which starts at 0.
        factor: weights start as N(0, factor²/features_in).

    Raises:
        InputError: if a size is not positive.

    Example:
        >>> layer = CirculantLinear(6, 6)
        >>> layer.weight.numel(), bool(torch.allclose(layer.matrix(), circulant_matrix(layer.weight[0, 0])))
        (6, True)
    """

    layer_kind = "other"  # its weight is no matrix that an initializer could draw

    def __init__(
        self, features_in: int, features_out: int, *, block: int | None = None, bias: bool = True, factor: float = 1.0
    ) -> None:
        super().__init__()
        if min(features_in, features_out) < 1 or (block is not None and block < 1):
            raise InputError(
                f"CirculantLinear: features_in={features_in}, features_out={features_out}, block={block}.",
                "Use 1 or more of each.",
            )
        self.features_in, self.features_out = features_in, features_out
        self.block = block or min(features_in, features_out)
        rows, columns = math.ceil(features_out / self.block), math.ceil(features_in / self.block)
        self.weight = nn.Parameter(torch.randn(rows, columns, self.block) * factor * features_in**-0.5)
        self.bias = nn.Parameter(torch.zeros(features_out)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.features_in:
            raise ValueError(
                f"CirculantLinear: the last axis of {tuple(x.shape)} has {x.shape[-1]} numbers, not {self.features_in}."
            )
        if torch.compiler.is_exporting() or x.numel() == 0:  # ONNX has no complex numbers, MKL no empty transforms
            return F.linear(x, self.matrix(), self.bias)
        wide = torch.promote_types(x.dtype, torch.float32)
        padded = F.pad(x.to(wide), (0, self.weight.shape[1] * self.block - self.features_in))
        signal = torch.fft.rfft(padded.unflatten(-1, (-1, self.block)))  # (…, q, n // 2 + 1)
        kernel = torch.fft.rfft(self.weight.to(wide))  # (p, q, n // 2 + 1)
        product = (signal.unsqueeze(-3) * kernel).sum(-2)
        y = torch.fft.irfft(product, n=self.block).flatten(-2)[..., : self.features_out].to(x.dtype)
        return y if self.bias is None else y + self.bias

    def matrix(self) -> Tensor:
        """Return W written out, (features_out, features_in)."""
        blocks = circulant_matrix(self.weight).permute(0, 2, 1, 3)  # (p, n, q, n)
        return blocks.flatten(2).flatten(0, 1)[: self.features_out, : self.features_in]

    def extra_repr(self) -> str:
        return f"{self.features_in}, {self.features_out}, block={self.block}, bias={self.bias is not None}"


def circulant(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    widths: Sequence[int] | None = None,
    width: int = 256,
    depth: int = 2,
    activation: str = "relu",
    norm: str = "none",
    dropout: float = 0.0,
) -> nn.Module:
    """Build a multilayer perceptron whose hidden layers are circulant; the head is dense.

    Args:
        inputs: shape of one sample; flattened.
        outputs: number of logits or values.
        widths: units of each hidden layer; None takes width and depth.
        width: units of each hidden layer.
        depth: hidden layers.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``.
        dropout: share of hidden units silenced in training, 0 … 1.

    Raises:
        InputError: if a width is not positive or a name is not known.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    now, factor = math.prod(inputs), 1.0
    for units in checked_widths("circulant", widths, width, depth):
        made = units * pieces(activation)
        layers.append(CirculantLinear(now, made, factor=factor))
        layers += [norm_named(norm, made)] if norm != "none" else []
        layers += [activation_named(activation), *([nn.Dropout(dropout)] if dropout > 0 else [])]
        now, factor = units, gain(activation)
    return nn.Sequential(*layers, scaled_linear(now, outputs, 0.1 * factor))
