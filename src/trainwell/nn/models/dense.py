"""A residual multilayer perceptron for tables and other vectors.

    h_0 = W x + b,    h_{l+1} = h_l + V_l drop(φ(W_l norm(h_l))),    y = W' φ(norm(h_L)) + b'

V_l starts at zero, so the net starts as one hidden layer and each block joins in as it learns; whatever the depth, the
signal and the gradient pass unchanged at the start. Source: the ResNet for tables of Gorishniy et al. 2021, §3.2,
arXiv:2106.11959; zero-initialized branches: Zhang et al. 2019 (Fixup), arXiv:1901.09321.
"""

import math

from torch import Tensor, nn

from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces
from trainwell.nn.normalization.norms import norm as norm_named


class DenseBlock(nn.Module):
    """One residual block: x + V drop(φ(W norm(x))), with V starting at zero.

    x has ``width`` features, or as many as φ makes ``width`` of (twice as many for maxout).
    """

    def __init__(self, width: int, activation: str, norm: str, dropout: float) -> None:
        super().__init__()
        stream = pieces(activation) * width
        self.norm = norm_named(norm, stream)
        self.linear1 = nn.Linear(stream, stream)
        self.activation = activation_named(activation)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(width, stream)
        nn.init.kaiming_normal_(self.linear1.weight, nonlinearity="linear")
        nn.init.zeros_(self.linear1.bias)
        nn.init.zeros_(self.linear2.weight)
        nn.init.zeros_(self.linear2.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.linear2(self.dropout(self.activation(self.linear1(self.norm(x)))))


def mlp(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 256,
    depth: int = 2,
    activation: str = "gelu",
    norm: str = "batch",
    dropout: float = 0.1,
) -> nn.Module:
    """Build a residual multilayer perceptron; input of any shape is flattened.

    Args:
        inputs: shape of one sample.
        outputs: number of logits or values.
        width: units of each hidden layer.
        depth: residual blocks of two layers each, at least 0.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS`` that takes vectors.
        dropout: share of hidden units silenced in training, 0 … 1.

    Raises:
        InputError: if the activation or the norm is not known, or the norm takes no vectors.
    """
    stream = pieces(activation) * width
    last = norm_named(norm, stream)
    stem, head = nn.Linear(math.prod(inputs), stream), nn.Linear(width, outputs)
    nn.init.kaiming_normal_(stem.weight, nonlinearity="linear")
    nn.init.normal_(head.weight, std=0.1 * gain(activation) * width**-0.5)
    nn.init.zeros_(stem.bias)
    nn.init.zeros_(head.bias)
    return nn.Sequential(
        nn.Flatten(),
        stem,
        *(DenseBlock(width, activation, norm, dropout) for _ in range(depth)),
        last,
        activation_named(activation),
        nn.Dropout(dropout),
        head,
    )
