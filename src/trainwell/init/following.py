"""Which nonlinearity follows a layer, read from the chain of a traced model, and the gain that makes up for it.

A layer of weights N(0, g²/fan_in) followed by φ keeps E h² = 1 iff g² E φ(z)² = 1, z ~ N(0, 1). The moments are those
of ``trainwell.theory``; an activation that it does not know is integrated numerically (``nn.nonlinear.elementwise``).
"""

from dataclasses import dataclass

from torch import nn

from trainwell.nn.nonlinear.activations import nonlinearity_of
from trainwell.theory.activation_moments import nonlinearity
from trainwell.theory.chain import Chain, Layer
from trainwell.theory.gaussian_moments import Nonlinearity

_PASSED_OVER = ("norm", "dropout", "pool", "flatten")
_NOT_ELEMENTWISE = ("GLU", "LogSoftmax", "MultiheadAttention", "Softmax", "Softmax2d", "Softmin")


@dataclass(frozen=True)
class Following:
    """What stands behind a layer.

    Attributes:
        name: class of the nonlinearity, ``"none"`` where another layer or the end follows, ``"unknown"``.
        gain: 1/√E φ(z)²; 1 for none; None where unknown.
        note: why it is not known or what was assumed; "" otherwise.
        into_addition: whether the layer's output goes into an addition: it may end a residual branch.
        nonlinearity: what theory knows of it: the identity for none, None where unknown or not elementwise.
    """

    name: str
    gain: float | None
    note: str = ""
    into_addition: bool = False
    nonlinearity: Nonlinearity | None = None


_NONE = Following("none", 1.0, nonlinearity=nonlinearity("identity"))


def following(chain: Chain, path: str, model: nn.Module) -> Following:
    """Say what follows the layer at ``path`` where it runs first; norms, dropout and pooling are passed over.

    The chain knows the order of execution and not which output goes where; a step that reads another shape than the
    one before it gave is on another branch, and there the search ends.
    """
    places = [index for index, layer in enumerate(chain.layers) if layer.path == path]
    if not places:
        return Following("unknown", None, "It does not run on the example.")
    before = chain.layers[places[0]]
    for layer in chain.layers[places[0] + 1 :]:
        if layer.kind in ("linear", "conv", "output", "embedding", "input"):
            return _NONE
        if layer.kind == "other":
            added = layer.name in ("add", "sub")
            return Following("unknown", None, f"Its output goes into {layer.name} at {layer.path!r}.", added)
        if layer.input_shape != before.output_shape:
            return Following("unknown", None, f"{layer.path!r} runs next, on another branch.")
        if layer.kind == "activation":
            return _activation(layer, model)
        before = layer
    if chain.incomplete.startswith("The forward pass failed"):
        return Following("unknown", None, chain.incomplete)
    return _NONE


def _activation(layer: Layer, model: nn.Module) -> Following:
    if layer.name in _NOT_ELEMENTWISE:
        return Following(layer.name, 1.0, f"{layer.name} mixes units: gain 1.")
    if not layer.path.endswith("()"):
        return _with_gain(layer.name, model.get_submodule(layer.path), "")
    known = getattr(nn, layer.name, None)
    if known is None:
        return Following("unknown", None, f"{layer.name} at {layer.path!r} is not known.")
    settings = layer.name in ("CELU", "ELU", "Hardtanh", "LeakyReLU", "PReLU", "Softplus")
    note = f"The settings of {layer.path!r} cannot be seen; torch's own were assumed." if settings else ""
    return _with_gain(layer.name, known(), note)


def _with_gain(name: str, activation: nn.Module, note: str) -> Following:
    known = nonlinearity_of(activation)
    if known is None:
        return Following(name, None, f"E φ(z)² of {name} cannot be computed.")
    return Following(name, _gain(known), note, nonlinearity=known)


def gain_of(activation: nn.Module) -> float | None:
    """Return 1/√E φ(z)² of an activation module; None if it cannot be computed.

    Example:
        >>> round(gain_of(nn.ReLU()), 5)
        1.41421
    """
    known = nonlinearity_of(activation)
    return None if known is None else _gain(known)


def _gain(known: Nonlinearity) -> float:
    return float(known.second_moment(1.0)) ** -0.5
