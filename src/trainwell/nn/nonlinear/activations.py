"""Activation functions by name, and the gain that makes up for what each does to the second moment.

A layer of gain g, weights N(0, g²/fan_in), followed by φ keeps E[h²] = 1 at its fixed point iff

    g² · E[φ(z)²] = 1,    z ~ N(0, 1).

For ReLU this is Kaiming's √2. Source: He et al. 2015, §2.2, arXiv:1502.01852.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import nn

from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.nn.nonlinear.elementwise import Elementwise
from trainwell.nn.nonlinear.maxout import Maxout
from trainwell.nn.nonlinear.randomized_leaky import RandomizedLeakyReLU
from trainwell.nn.nonlinear.shifted_relu import ShiftedReLU
from trainwell.nn.nonlinear.straight_through import SignStraightThrough
from trainwell.theory.activation_moments import nonlinearity
from trainwell.theory.gaussian_moments import Nonlinearity

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "celu": nn.CELU,
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "hard_tanh": nn.Hardtanh,
    "identity": nn.Identity,
    "leaky_relu": nn.LeakyReLU,
    "maxout": Maxout,
    "mish": nn.Mish,
    "prelu": nn.PReLU,
    "randomized_leaky_relu": RandomizedLeakyReLU,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "shifted_relu": ShiftedReLU,
    "sigmoid": nn.Sigmoid,
    "sign": SignStraightThrough,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "tanh": nn.Tanh,
}

ACTIVATIONS: tuple[str, ...] = tuple(_ACTIVATIONS)


def activation(name: str) -> nn.Module:
    """Make the activation function called ``name``, one of ``ACTIVATIONS``.

    Raises:
        InputError: if there is none of this name.
    """
    _check(name)
    return _ACTIVATIONS[name]()


def pieces(name: str) -> int:
    """Return how many input channels (dimension 1) make one output channel: 2 for maxout, 1 for all others.

    The layer before makes ``pieces`` times as many channels as the layer after reads.
    """
    _check(name)
    return 2 if name == "maxout" else 1


def gain(name: str) -> float:
    """Return 1/√E[φ(z)²] for z ~ N(0, 1), from the closed forms and quadratures of ``trainwell.theory``.

    Example:
        >>> round(gain("relu"), 3)
        1.414
    """
    _check(name)
    return float(nonlinearity(name).second_moment(1.0)) ** -0.5


def nonlinearity_of(module: nn.Module) -> Nonlinearity | None:
    """Return what theory knows of an activation, by its class and parameters; None if its moments are not finite.

    A PReLU counts with the root mean square of its slopes and the sign of their mean, a randomized leaky ReLU as it is
    while training. A class that theory does not know is taken for elementwise and integrated numerically.
    """
    known = _KNOWN.get(type(module))
    if known is not None:
        return known(module)
    try:
        found = Elementwise(module)
        moment = float(found.second_moment(1.0))
    except Exception:  # whatever a stranger's forward raises on a row of numbers: it is not elementwise
        return None
    return found if np.isfinite(moment) and moment > 1e-12 else None


def _prelu(module: nn.PReLU) -> Nonlinearity:
    slopes = module.weight.detach().double()
    return nonlinearity("prelu", slope=math.copysign(float(slopes.square().mean().sqrt()), float(slopes.mean())))


def _celu(module: nn.CELU) -> Nonlinearity:
    return nonlinearity("celu", alpha=module.alpha) if module.alpha > 0 else Elementwise(module)


def _elu(module: nn.ELU) -> Nonlinearity:
    return nonlinearity("elu", alpha=module.alpha) if module.alpha > 0 else Elementwise(module)


_KNOWN: dict[type[nn.Module], Callable[[Any], Nonlinearity]] = {
    nn.CELU: _celu,
    nn.ELU: _elu,
    nn.GELU: lambda m: nonlinearity("gelu", approximate=m.approximate),
    nn.Hardtanh: lambda m: nonlinearity("hard_tanh", low=m.min_val, high=m.max_val),
    nn.Identity: lambda m: nonlinearity("identity"),
    nn.LeakyReLU: lambda m: nonlinearity("leaky_relu", slope=m.negative_slope),
    nn.Mish: lambda m: nonlinearity("mish"),
    nn.PReLU: _prelu,
    nn.RReLU: lambda m: nonlinearity("randomized_leaky_relu", lower=m.lower, upper=m.upper),
    nn.ReLU: lambda m: nonlinearity("relu"),
    nn.ReLU6: lambda m: nonlinearity("relu6"),
    nn.SELU: lambda m: nonlinearity("selu"),
    nn.SiLU: lambda m: nonlinearity("silu"),
    nn.Sigmoid: lambda m: nonlinearity("sigmoid"),
    nn.Softplus: lambda m: nonlinearity("softplus", beta=m.beta),
    nn.Tanh: lambda m: nonlinearity("tanh"),
    Maxout: lambda m: nonlinearity("maxout", pieces=m.pieces),
    RandomizedLeakyReLU: lambda m: nonlinearity("randomized_leaky_relu", lower=m.lower, upper=m.upper),
    ShiftedReLU: lambda m: nonlinearity("shifted_relu"),
    SignStraightThrough: lambda m: nonlinearity("sign"),
}


def _check(name: str) -> None:
    if name not in _ACTIVATIONS:
        hint = nearest(name, ACTIVATIONS, f"Use one of {', '.join(ACTIVATIONS)}.")
        raise InputError(f"activation={name!r} is not known.", hint)
