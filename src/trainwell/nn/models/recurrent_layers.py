"""Recurrent layers over (N, T, F): torch's fused ones, and a scan over time that can normalize or be orthogonal.

    rnn    h_t = φ(norm(W x_t + U h_{t−1}) + b)
    gru    (r, z) = σ(norm(W x_t) + norm(U h_{t−1}) + b),
           n = tanh(norm(W_n x_t) + b_n + r ⊙ (norm(U_n h_{t−1}) + b'_n)),
           h_t = (1 − z) ⊙ n + z ⊙ h_{t−1}
    lstm   (i, f, g, o) = norm(W x_t) + norm(U h_{t−1}) + b,    c_t = σ(f) ⊙ c_{t−1} + σ(i) ⊙ tanh(g),
           h_t = σ(o) ⊙ tanh(norm(c_t))

Each norm is a layer normalization with a gain of its own, over all units of the vector it reads: mean and variance of
one sample at one time, valid for sequences of any length. Without norms these are torch's layers, gate order included;
Ba et al. write z for our 1 − z. ∂h_t/∂h_0 is a product of T factors D U, so it keeps its norm only where U is close to
orthogonal: each gate's block of U starts orthogonal.
Sources: Ba, Kiros & Hinton 2016, eq. 4 and the supplement's eqs. 20–29, arXiv:1607.06450; deck R, normalization; Saxe
et al. 2014, arXiv:1312.6120; Le, Jaitly & Hinton 2015 (identity and ReLU), arXiv:1504.00941; forget bias 1: Jozefowicz
et al. 2015.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from trainwell.errors import InputError

RECURRENCES = ("orthogonal", "identity", "gaussian", "parametrized")
_EPS = 1e-5  # of torch's layer normalization


@torch.no_grad()
def start_recurrence_(blocks: Tensor, recurrence: str) -> Tensor:
    """Fill the hidden-to-hidden matrices in place.

    Args:
        blocks: one square matrix a gate, shape (gates, width, width).
        recurrence: ``orthogonal`` and ``parametrized`` (random orthogonal), ``identity``, or ``gaussian``
            (N(0, 1/width), of the same variance, with singular values from 0 to 2).

    Raises:
        InputError: if the recurrence is not known.
    """
    if recurrence not in RECURRENCES:
        raise InputError(f"recurrence={recurrence!r} is not known.", f"Use one of {', '.join(RECURRENCES)}.")
    for block in blocks:
        if recurrence == "identity":
            nn.init.eye_(block)
        elif recurrence == "gaussian":
            nn.init.normal_(block, std=block.shape[1] ** -0.5)
        else:
            block.copy_(nn.init.orthogonal_(torch.empty_like(block)))
    return blocks


class FusedRecurrence(nn.RNNBase):
    """Torch's RNN, GRU or LSTM: (N, T, F) → (N, T, width), with our start.

    It gives the outputs alone and, unlike ``nn.LSTM`` and its like, may be compiled into a whole graph and runs under
    ``torch.func.functional_call``. Compiled LSTMs run step by step: torch's fused CPU kernel can't be differentiated
    there.

    Args:
        mode: ``RNN_TANH``, ``RNN_RELU``, ``GRU`` or ``LSTM``.
        features: F.
        width: units of each layer.
        depth: layers.
        dropout: share of units silenced between layers in training.
        recurrence: one of ``RECURRENCES`` but ``parametrized``.
    """

    def __init__(self, mode: str, features: int, width: int, depth: int, dropout: float, recurrence: str) -> None:
        super().__init__(mode, features, width, depth, batch_first=True, dropout=dropout if depth > 1 else 0.0)
        for index in range(depth):
            drive, recur, bias, other_bias = self._layer(index)
            nn.init.normal_(drive, std=drive.shape[1] ** -0.5)
            start_recurrence_(recur.unflatten(0, (-1, width)), recurrence)
            nn.init.zeros_(bias)
            nn.init.zeros_(other_bias)
            if mode == "LSTM":
                nn.init.ones_(bias[width : 2 * width])

    def _layer(self, index: int) -> list[Tensor]:
        return [getattr(self, f"{name}_l{index}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]

    def forward(self, x: Tensor) -> Tensor:
        if self.mode == "LSTM" and torch.compiler.is_dynamo_compiling():
            return self._unrolled(x)
        state = x.new_zeros(self.num_layers, x.shape[0], self.hidden_size)
        weights = [getattr(self, name) for name in self._flat_weights_names]
        options = (True, self.num_layers, self.dropout, self.training, False, True)
        if self.mode == "LSTM":
            return torch.lstm(x, (state, state), weights, *options)[0]
        run = {"GRU": torch.gru, "RNN_TANH": torch.rnn_tanh, "RNN_RELU": torch.rnn_relu}[self.mode]
        return run(x, state, weights, *options)[0]

    def _unrolled(self, x: Tensor) -> Tensor:
        for index in range(self.num_layers):
            drive, recur, bias, other_bias = self._layer(index)
            h = c = x.new_zeros(x.shape[0], self.hidden_size)
            outputs = []
            for driven in F.linear(x, drive, bias + other_bias).unbind(1):
                i, f, g, o = (driven + F.linear(h, recur)).chunk(4, 1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            x = torch.stack(outputs, 1)
            if index + 1 < self.num_layers:
                x = F.dropout(x, self.dropout, self.training)
        return x


class RecurrentLayer(nn.Module):
    """What the three scans share: one layer over (N, T, F), given step by step, (N, T, width).

    Args:
        features: F.
        width: units.
        norm: ``layer`` or ``none``.
        recurrence: one of ``RECURRENCES``; ``parametrized`` keeps each gate's matrix orthogonal during training
            (exponential of a skew-symmetric matrix times the start: Lezcano-Casado & Martínez-Rubio 2019,
            arXiv:1901.08428). ONNX has no matrix exponential: ``unparametrize_`` the model before exporting it.

    Raises:
        InputError: if the norm or the recurrence is not known.
    """

    layer_kind = "other"
    gates: int
    states = 1
    norms: ClassVar[dict[str, int]]  # name → units over which it goes, in multiples of the width

    def __init__(self, features: int, width: int, *, norm: str = "layer", recurrence: str = "orthogonal") -> None:
        super().__init__()
        if norm not in ("layer", "none"):
            raise InputError(f"norm={norm!r} is not known to recurrent layers.", "Use layer or none.")
        self.features, self.width, self.norm = features, width, norm
        self.weight_input = nn.Parameter(torch.empty(self.gates * width, features))
        self.weight_state = nn.Parameter(torch.empty(self.gates, width, width))
        self.bias = nn.Parameter(torch.zeros(self.gates * width))
        for name, multiple in self.norms.items():
            gain = nn.Parameter(torch.ones(multiple * width)) if norm == "layer" else None
            self.register_parameter(f"gain_{name}", gain)
        nn.init.normal_(self.weight_input, std=features**-0.5)
        start_recurrence_(self.weight_state, recurrence)
        if recurrence == "parametrized":
            parametrizations.orthogonal(self, "weight_state")

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Tensor:
        """Map (N, T, F) to the outputs of all times; the state before the first is zero unless given, (N, width)."""
        weight = self.weight_state.flatten(0, 1)
        if state is None:
            state = (x.new_zeros(x.shape[0], self.width),) * self.states
        outputs = []
        for driven in self.drive(x).unbind(1):
            state = self.step(driven, F.linear(state[0], weight), state)
            outputs.append(state[0])
        return torch.stack(outputs, 1)

    def drive(self, x: Tensor) -> Tensor:
        """What the input contributes at all times at once, (N, T, gates · width)."""
        raise NotImplementedError

    def step(self, driven: Tensor, recurred: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Next state from the input's and the last state's contributions, both (N, gates · width)."""
        raise NotImplementedError

    def normalized(self, x: Tensor, name: str) -> Tensor:
        """Apply the norm of this name over the last axis."""
        gain: Tensor | None = getattr(self, f"gain_{name}")
        return x if gain is None else F.layer_norm(x, gain.shape, gain, None, _EPS)

    def extra_repr(self) -> str:
        return f"{self.features}, {self.width}, norm={self.norm}"


class RnnLayer(RecurrentLayer):
    """h_t = φ(norm(W x_t + U h_{t−1}) + b); see ``RecurrentLayer``.

    Args:
        activation: φ, elementwise; tanh by default.
    """

    gates = 1
    norms: ClassVar[dict[str, int]] = {"sum": 1}

    def __init__(
        self,
        features: int,
        width: int,
        *,
        activation: nn.Module | None = None,
        norm: str = "layer",
        recurrence: str = "orthogonal",
    ) -> None:
        super().__init__(features, width, norm=norm, recurrence=recurrence)
        self.activation = activation or nn.Tanh()

    def drive(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight_input)

    def step(self, driven: Tensor, recurred: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (self.activation(self.normalized(driven + recurred, "sum") + self.bias),)


class GruLayer(RecurrentLayer):
    """Gated recurrent unit with torch's gate order r, z, n; see ``RecurrentLayer``."""

    gates = 3
    norms: ClassVar[dict[str, int]] = {"gates_input": 2, "gates_state": 2, "candidate_input": 1, "candidate_state": 1}

    def __init__(self, features: int, width: int, *, norm: str = "layer", recurrence: str = "orthogonal") -> None:
        super().__init__(features, width, norm=norm, recurrence=recurrence)
        self.bias_state = nn.Parameter(torch.zeros(width))

    def drive(self, x: Tensor) -> Tensor:
        gates, candidate = F.linear(x, self.weight_input).split((2 * self.width, self.width), -1)
        both = self.normalized(gates, "gates_input"), self.normalized(candidate, "candidate_input")
        return torch.cat(both, -1) + self.bias

    def step(self, driven: Tensor, recurred: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        split = (2 * self.width, self.width)
        gates, candidate = recurred.split(split, -1)
        driven_gates, driven_candidate = driven.split(split, -1)
        r, z = torch.sigmoid(driven_gates + self.normalized(gates, "gates_state")).chunk(2, -1)
        n = torch.tanh(driven_candidate + r * (self.normalized(candidate, "candidate_state") + self.bias_state))
        return ((1 - z) * n + z * state[0],)


class LstmLayer(RecurrentLayer):
    """Long short-term memory with torch's gate order i, f, g, o and forget bias 1; see ``RecurrentLayer``."""

    gates = 4
    states = 2
    norms: ClassVar[dict[str, int]] = {"input": 4, "state": 4, "cell": 1}

    def __init__(self, features: int, width: int, *, norm: str = "layer", recurrence: str = "orthogonal") -> None:
        super().__init__(features, width, norm=norm, recurrence=recurrence)
        if norm == "layer":
            self.bias_cell = nn.Parameter(torch.zeros(width))
        with torch.no_grad():
            self.bias[width : 2 * width] = 1

    def drive(self, x: Tensor) -> Tensor:
        return self.normalized(F.linear(x, self.weight_input), "input") + self.bias

    def step(self, driven: Tensor, recurred: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        i, f, g, o = (driven + self.normalized(recurred, "state")).chunk(4, -1)
        c = torch.sigmoid(f) * state[1] + torch.sigmoid(i) * torch.tanh(g)
        read = self.normalized(c, "cell") + self.bias_cell if self.norm == "layer" else c
        return torch.sigmoid(o) * torch.tanh(read), c
