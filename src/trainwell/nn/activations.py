"""Activation functions by name, and the gain that makes up for what each does to the second moment.

A layer of gain g, weights N(0, g²/fan_in), followed by φ keeps E[h²] = 1 at its fixed point iff

    g² · E[φ(z)²] = 1,    z ~ N(0, 1).

For ReLU this is Kaiming's √2. Source: He et al. 2015, §2.2, arXiv:1502.01852.
"""

import difflib
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from trainwell.errors import InputError

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "elu": nn.ELU,
    "gelu": nn.GELU,
    "leaky_relu": nn.LeakyReLU,
    "mish": nn.Mish,
    "relu": nn.ReLU,
    "selu": nn.SELU,
    "sigmoid": nn.Sigmoid,
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
    if name not in _ACTIVATIONS:
        near = difflib.get_close_matches(name, ACTIVATIONS, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(ACTIVATIONS)}."
        raise InputError(f"activation={name!r} is not known.", hint)
    return _ACTIVATIONS[name]()


def gain(name: str) -> float:
    """Return 1/√E[φ(z)²] for z ~ N(0, 1), by Gauss–Hermite quadrature with 101 nodes.

    Example:
        >>> round(gain("relu"), 3)
        1.414
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(101)
    values = activation(name)(torch.from_numpy(nodes)).square().numpy()
    return float(np.sqrt(weights.sum() / (weights @ values)))
