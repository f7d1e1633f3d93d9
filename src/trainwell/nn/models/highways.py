"""The highway network: fully connected layers that learn how much of their input to let pass.

    y = T(x) ⊙ H(x) + (1 − T(x)) ⊙ x,    H(x) = φ(W_H x + b_H),    T(x) = sigmoid(W_T x + b_T).

b_T starts negative, so that a layer mostly carries: T ≈ sigmoid(b_T), 0.27, 0.12 and 0.05 for −1, −2 and −3. Published
starts lie between −1 and −3, lower in deeper nets; ours is b_T = −depth/10 cut off at −1 and −3. A whole net then
carries at most (1 − sigmoid(b_T))^depth of its input: 4, 8 and 23 % at 10, 20 and 30 layers.
Source: Srivastava, Greff & Schmidhuber 2015, "Highway Networks", §2, eq. 3, arXiv:1505.00387.
"""

import math

from torch import Tensor, nn

from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces


class HighwayLayer(nn.Module):
    """One layer y = T H + (1 − T) x: (N, width) → (N, width).

    Args:
        width: units.
        activation: φ, one of ``trainwell.nn.ACTIVATIONS``.
        gate_bias: b_T at the start.

    Example:
        >>> layer = HighwayLayer(2, gate_bias=-100.0)
        >>> layer(Tensor([[1, 1]])).detach()
        tensor([[1., 1.]])
    """

    def __init__(self, width: int, *, activation: str = "relu", gate_bias: float = -1.0) -> None:
        super().__init__()
        self.transform = nn.Linear(width, pieces(activation) * width)
        self.activation = activation_named(activation)
        self.gate = nn.Linear(width, width)
        self.sigmoid = nn.Sigmoid()
        nn.init.normal_(self.transform.weight, std=gain(activation) * width**-0.5)
        nn.init.normal_(self.gate.weight, std=width**-0.5)
        nn.init.zeros_(self.transform.bias)
        nn.init.constant_(self.gate.bias, gate_bias)

    def forward(self, x: Tensor) -> Tensor:
        transform, gate = self.activation(self.transform(x)), self.sigmoid(self.gate(x))
        return transform * gate + x * (1 - gate)


def gate_bias_of(depth: int) -> float:
    """Return the start of the gates' biases in a net of ``depth`` highway layers: −depth/10 within [−3, −1].

    Example:
        >>> [gate_bias_of(depth) for depth in (2, 20, 100)]
        [-1.0, -2.0, -3.0]
    """
    return -min(3.0, max(1.0, depth / 10))


def highway(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 64,
    depth: int = 10,
    activation: str = "relu",
    dropout: float = 0.0,
    gate_bias: float | None = None,
) -> nn.Module:
    """Build a fully connected highway network; input of any shape is flattened.

    Args:
        inputs: shape of one sample.
        outputs: number of logits or values.
        width: units of every layer.
        depth: highway layers; a linear layer with φ stands before them and a linear one behind.
        activation: φ, one of ``trainwell.nn.ACTIVATIONS``.
        dropout: share of the last units silenced in training, 0 … 1.
        gate_bias: b_T at the start; from the depth if None.
    """
    bias = gate_bias_of(depth) if gate_bias is None else gate_bias
    stem, head = nn.Linear(math.prod(inputs), pieces(activation) * width), nn.Linear(width, outputs)
    nn.init.normal_(stem.weight, std=gain(activation) * stem.in_features**-0.5)
    nn.init.normal_(head.weight, std=width**-0.5)
    nn.init.zeros_(stem.bias)
    nn.init.zeros_(head.bias)
    return nn.Sequential(
        nn.Flatten(),
        stem,
        activation_named(activation),
        *(HighwayLayer(width, activation=activation, gate_bias=bias) for _ in range(depth)),
        nn.Dropout(dropout),
        head,
    )
