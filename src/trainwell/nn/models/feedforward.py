"""A plain multilayer perceptron of any widths, without shortcuts.

    h_0 = x,    h_l = drop(φ(norm(W_l h_{l−1} + b_l))),    y = W' h_L + b'

W_1 has independent N(0, 1/fan_in) entries and W_l, which reads φ, N(0, g²/fan_in) with g = 1/√E φ(z)², z ~ N(0, 1):
for inputs of mean square 1 every pre-activation has variance 1, whatever φ, up to O(1/width). W' starts ten times
smaller. Maxout reads several units for each one it gives: the layer before it has that many times as many.
Source: deck M, multilayer perceptron; Kaiming's rule: He et al. 2015, §2.2, arXiv:1502.01852.
"""

import math
from collections.abc import Sequence

from torch import nn

from trainwell.errors import InputError
from trainwell.nn.nonlinear.activations import activation as activation_named
from trainwell.nn.nonlinear.activations import gain, pieces
from trainwell.nn.normalization.norms import norm as norm_named


def scaled_linear(features_in: int, features_out: int, factor: float, *, bias: bool = True) -> nn.Linear:
    """Make a linear layer with weights N(0, factor²/features_in) and biases 0."""
    layer = nn.Linear(features_in, features_out, bias=bias)
    nn.init.normal_(layer.weight, std=factor * features_in**-0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def dense_layer(
    features_in: int, features_out: int, factor: float, activation: str, norm: str, dropout: float
) -> list[nn.Module]:
    """Make linear → norm → φ → dropout; what does nothing is left out."""
    made = features_out * pieces(activation)
    layers: list[nn.Module] = [scaled_linear(features_in, made, factor)]
    if norm != "none":
        layers.append(norm_named(norm, made))
    layers.append(activation_named(activation))
    return [*layers, nn.Dropout(dropout)] if dropout > 0 else layers


def checked_widths(model: str, widths: Sequence[int] | None, width: int, depth: int) -> tuple[int, ...]:
    """Return the widths of the hidden layers: those given, or ``depth`` times ``width``.

    Raises:
        InputError: if one of them is not positive, or depth is negative.
    """
    if depth < 0:
        raise InputError(f"{model}: depth={depth} is negative.", "Use 0 or more hidden layers.")
    chosen = (width,) * depth if widths is None else tuple(widths)
    if any(units < 1 for units in chosen):
        raise InputError(f"{model}: widths={chosen} has a layer without units.", "Use 1 or more units in each.")
    return chosen


def plain_mlp(
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
    """Build a multilayer perceptron without shortcuts; input of any shape is flattened.

    Args:
        inputs: shape of one sample.
        outputs: number of logits or values.
        widths: units of each hidden layer, ``(512, 256)``; () is a linear model; None takes width and depth.
        width: units of each hidden layer.
        depth: hidden layers, at least 0.
        activation: one of ``trainwell.nn.ACTIVATIONS``.
        norm: one of ``trainwell.nn.NORMS``; none by default: this is the plain net that the theory is about.
        dropout: share of hidden units silenced in training, 0 … 1.

    Raises:
        InputError: if a width is not positive or a name is not known.

    Example:
        >>> [layer.out_features for layer in plain_mlp((4,), 2, widths=(8, 6)) if isinstance(layer, nn.Linear)]
        [8, 6, 2]
    """
    layers: list[nn.Module] = [nn.Flatten()]
    now, factor = math.prod(inputs), 1.0
    for units in checked_widths("plain_mlp", widths, width, depth):
        layers += dense_layer(now, units, factor, activation, norm, dropout)
        now, factor = units, gain(activation)
    return nn.Sequential(*layers, scaled_linear(now, outputs, 0.1 * factor))
