"""Recurrent bodies for sequences: ``rnn``, ``gru``, ``lstm``; images are read row by row.

    (N, T, F) → depth recurrent layers → last state, or mean over time → linear

An image (C, H, W) is a sequence of T = H rows of F = C·W numbers. The formulas and sources are in ``recurrent_layers``.
"""

from collections.abc import Callable

from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.nn.models.feedforward import scaled_linear
from trainwell.nn.models.recurrent_layers import FusedRecurrence, GruLayer, LstmLayer, RecurrentLayer, RnnLayer
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import pieces

READOUTS = ("last", "mean")


class Rows(nn.Module):
    """Read an image row by row: (N, C, H, W) → (N, H, C·W)."""

    layer_kind = "flatten"

    def forward(self, images: Tensor) -> Tensor:
        return images.transpose(1, 2).flatten(2)


class LastState(nn.Module):
    """Take the output at the last time: (N, T, F) → (N, F)."""

    layer_kind = "pool"

    def forward(self, x: Tensor) -> Tensor:
        return x[:, -1]


class MeanOverTime(nn.Module):
    """Average over time: (N, T, F) → (N, F)."""

    layer_kind = "pool"

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


def rnn(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 128,
    depth: int = 1,
    activation: str = "tanh",
    norm: str = "none",
    dropout: float = 0.0,
    recurrence: str = "orthogonal",
    readout: str = "last",
) -> nn.Module:
    """Build a simple recurrent net; ReLU with ``recurrence="identity"`` is Le et al.'s IRNN.

    Args:
        inputs: (T, F), or (C, H, W), which is read row by row.
        outputs: number of logits or values.
        width: units of each layer.
        depth: recurrent layers, at least 1.
        activation: one of ``trainwell.nn.ACTIVATIONS`` that gives one unit for one; tanh and relu are fast.
        norm: ``none`` or ``layer`` (layer-normalized cells, step by step: slower).
        dropout: share of units silenced between layers in training, 0 … 1.
        recurrence: start of the hidden-to-hidden matrix: ``orthogonal``, ``identity`` or ``gaussian``, or
            ``parametrized``: orthogonal throughout training (step by step: slower).
        readout: what the head reads: the ``last`` state or the ``mean`` over time.

    Raises:
        InputError: if the samples are no sequences, or an option is not known.
    """
    if pieces(activation) != 1:
        raise InputError(f"rnn: {activation} joins several units to one.", "Use tanh or relu.")
    fused = {"tanh": "RNN_TANH", "relu": "RNN_RELU"}.get(activation, "")

    def layer(features: int) -> RecurrentLayer:
        phi = activation_named(activation)
        return RnnLayer(features, width, activation=phi, norm=norm, recurrence=recurrence)

    return _body("rnn", inputs, outputs, fused, layer, width, depth, norm, dropout, recurrence, readout)


def gru(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 128,
    depth: int = 1,
    norm: str = "none",
    dropout: float = 0.0,
    recurrence: str = "orthogonal",
    readout: str = "last",
) -> nn.Module:
    """Build a net of gated recurrent units; arguments and errors as for ``rnn``, each gate's matrix by itself.

    Source: Cho et al. 2014, arXiv:1406.1078, in torch's form (the reset gate acts after the product).
    """

    def layer(features: int) -> RecurrentLayer:
        return GruLayer(features, width, norm=norm, recurrence=recurrence)

    return _body("gru", inputs, outputs, "GRU", layer, width, depth, norm, dropout, recurrence, readout)


def lstm(
    inputs: tuple[int, ...],
    outputs: int,
    *,
    width: int = 128,
    depth: int = 1,
    norm: str = "none",
    dropout: float = 0.0,
    recurrence: str = "orthogonal",
    readout: str = "last",
) -> nn.Module:
    """Build a net of long short-term memories; arguments and errors as for ``rnn``, each gate's matrix by itself.

    The forget gates start with bias 1. Source: Hochreiter & Schmidhuber 1997; Gers et al. 2000.
    """

    def layer(features: int) -> RecurrentLayer:
        return LstmLayer(features, width, norm=norm, recurrence=recurrence)

    return _body("lstm", inputs, outputs, "LSTM", layer, width, depth, norm, dropout, recurrence, readout)


def _body(
    name: str,
    inputs: tuple[int, ...],
    outputs: int,
    fused: str,
    layer: Callable[[int], RecurrentLayer],
    width: int,
    depth: int,
    norm: str,
    dropout: float,
    recurrence: str,
    readout: str,
) -> nn.Module:
    if len(inputs) not in (2, 3):
        raise InputError(
            f"{name} takes sequences (T, F) or images (C, H, W); these samples have shape {inputs}.", "Use mlp."
        )
    if depth < 1 or width < 1:
        raise InputError(f"{name}: depth={depth}, width={width}.", "Use 1 or more of both.")
    if readout not in READOUTS:
        raise InputError(f"{name}: readout={readout!r} is not known.", f"Use one of {', '.join(READOUTS)}.")
    features = inputs[1] if len(inputs) == 2 else inputs[0] * inputs[2]
    layers: list[nn.Module] = [Rows()] if len(inputs) == 3 else []
    if fused and norm == "none" and recurrence != "parametrized":
        layers.append(FusedRecurrence(fused, features, width, depth, dropout, recurrence))
    else:
        for index in range(depth):
            layers += [nn.Dropout(dropout)] if index > 0 and dropout > 0 else []
            layers.append(layer(features if index == 0 else width))
    layers.append(LastState() if readout == "last" else MeanOverTime())
    return nn.Sequential(*layers, scaled_linear(width, outputs, 0.1))
