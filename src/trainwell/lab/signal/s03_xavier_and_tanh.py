"""S03: Xavier initialization keeps the scale of signal and gradient in a tanh net, with 2/(n + n') as the compromise.

A layer of n inputs and n' outputs without nonlinearity multiplies E h² by n Var W forward and E (∂L/∂h)² by n' Var W
backward. Both are 1 only for n = n'; Var W = 2/(n + n') makes their mean 1, as in 4/3 and 2/3 for layers that halve
their width. (One lecture takes 1/n, which serves the forward pass alone.)

This is the derivation for the identity, and tanh is one only for small signals. For signals of order 1 tanh takes a
part at each layer, E tanh²(√q z) = q − 2q² + …, and no variance of the weights that is right for small signals can
prevent it: the standard deviation falls to 0.63 in the first layer and to 0.29 in the sixth, like 1/√(2l). This is a
power of the depth and no collapse as from weights of standard deviation 0.01, but it is not "kept".

Decks: R K M
Control: weights of standard deviation 0.01 in place of Xavier's.
Source: Glorot & Bengio 2010, eq. 12 and 16.
"""

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.init import xavier_
from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array, passes, tanh_slope
from trainwell.theory.signal_flow import propagate_signal
from trainwell.theory.weight_variances import weight_variance

FORMULA = r"""
\mathrm{Var}\,W = \frac{2}{n + n'}
E\,h_{l+1}^2 = n\, \mathrm{Var}\,W\; E\,h_l^2
E\,(\partial L/\partial h_l)^2 = n'\, \mathrm{Var}\,W\; E\,(\partial L/\partial h_{l+1})^2
"""
SIZES = (1.0, 1e-3, 1e-3)  # deviation of the inputs of each case; tanh is the identity for the small ones
DEVIATION = 0.01  # of the control's weights


@dataclass(frozen=True)
class Setting:
    width: int
    nets: int
    depth: int = 6
    batch: int = 16
    seed: int = 0


QUICK = Setting(width=512, nets=16)
FULL = Setting(width=4096, nets=16)


@dataclass(frozen=True)
class Measured:
    """What one run gives: factors of a layer on E h² and, backward, on E (∂L/∂h)², means over the nets.

    Rows: ordinary inputs N(0, 1); small ones, which tanh leaves alone; small ones and widths d, d/2, d, …
    """

    forward: Array  # of layers 1 …, shape (3, depth)
    backward: Array  # of layers 2 …, shape (3, depth − 1)
    forward_error: Array  # standard errors
    backward_error: Array
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    forward = np.empty((setting.nets, len(SIZES), setting.depth))
    backward = np.empty((setting.nets, len(SIZES), setting.depth - 1))
    for net in range(setting.nets):
        for row, size in enumerate(SIZES):
            weights = _weights(widths(setting)[row], cause, generator)
            forward[net, row], backward[net, row] = _factors(weights, size, setting.batch, generator)
    (first, first_error), (second, second_error) = mean_and_error(forward), mean_and_error(backward)
    return Measured(first, second, first_error, second_error, setting)


def widths(setting: Setting) -> list[list[int]]:
    """Of each row of the results."""
    equal = [setting.width] * (setting.depth + 1)
    return [equal, equal, [setting.width // (1 + layer % 2) for layer in range(setting.depth + 1)]]


def _weights(sizes: list[int], cause: bool, generator: torch.Generator) -> list[Tensor]:
    weights = [torch.empty(fan_out, fan_in) for fan_in, fan_out in itertools.pairwise(sizes)]
    for weight in weights:
        if cause:
            xavier_(weight, generator=generator)
        else:
            weight.normal_(std=DEVIATION, generator=generator)
    return weights


def _factors(weights: list[Tensor], size: float, batch: int, generator: torch.Generator) -> tuple[Array, Array]:
    """Of every layer forward, of every one but the first backward."""
    inputs = size * torch.randn(batch, weights[0].shape[1], generator=generator)
    top = torch.randn(batch, weights[-1].shape[0], generator=generator)
    both = passes(weights, 1.0, inputs, top, torch.tanh, tanh_slope)
    moments = np.append(float(inputs.double().square().mean()), both.second_moment)
    gradients = both.signal_gradient**2 / np.array([weight.shape[0] for weight in weights])
    return moments[1:] / moments[:-1], gradients[:-1] / gradients[1:]


def predicted(setting: Setting) -> tuple[Array, Array]:
    """Theory for both arrays of the results."""
    forward, backward = [], []
    for size, sizes in zip(SIZES, widths(setting), strict=True):
        n = np.array(sizes)
        flow = propagate_signal("tanh", sizes, weight_variance("xavier", n[:-1], n[1:]), input_moment=size**2)
        moments, gradients = np.append(size**2, flow.m), flow.signal_gradient**2 / n[1:]
        forward.append(moments[1:] / moments[:-1])
        backward.append(gradients[:-1] / gradients[1:])
    return np.array(forward), np.array(backward)


def check(measured: Measured) -> list[Check]:
    s, forward, backward = measured.setting, measured.forward, measured.backward
    theory = predicted(s)
    error = (2 / (s.width / 2 * s.batch * s.nets)) ** 0.5
    kept = f"5 %, as in S05; the standard error is {100 * error:.1g} %"
    reason = f"four standard errors, √(2/(units · batch · nets)) each at the narrow layers: {400 * error:.1g} %"
    up, down = measured.forward_error, measured.backward_error
    both, both_error = np.concatenate([forward[1], backward[1]]), np.concatenate([up[1], down[1]])
    balance, spread = (forward[2, 1:] + backward[2]) / 2, np.hypot(up[2, 1:], down[2]) / 2
    return [
        Check("inputs N(0, 1): factor on E h²", forward[0], "equals", 1.0, 0.05, "claim", kept, error=up[0]),
        Check("inputs N(0, 1): factor on E (∂L/∂h)²", backward[0], "equals", 1.0, 0.05, "claim", kept, error=down[0]),
        Check("small inputs: factors of both passes", both, "equals", 1.0, 0.05, "claim", kept, error=both_error),
        Check("widths d, d/2, …: mean factor of both", balance, "equals", 1.0, 0.05, "claim", kept, error=spread),
        Check("factor of each layer on E h²", forward, "equals", theory[0], 4 * error, "theory", reason, error=up),
        Check("factor on E (∂L/∂h)²", backward, "equals", theory[1], 4 * error, "theory", reason, error=down),
        Check(
            "inputs N(0, 1): E h² after all layers",
            forward[0].prod(),
            "equals",
            theory[0][0].prod(),
            4 * s.depth**0.5 * error,
            "theory",
            "four standard errors of the product of the layers' factors",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    forward, backward = predicted(with_cause.setting)
    layers = np.arange(1, forward.shape[1] + 1)
    axes.plot(layers, forward[1].cumprod(), label="theory, E h², small inputs")
    axes.plot(layers, forward[0].cumprod(), label="theory, E h²")
    axes.plot(layers[1:], backward[0, ::-1].cumprod()[::-1], label="theory, E (∂L/∂h)²")
    axes.plot(layers, with_cause.forward[1].cumprod(), "o", label="E h², small inputs")
    axes.plot(layers, with_cause.forward[0].cumprod(), "^", label="E h²")
    axes.plot(layers[1:], with_cause.backward[0, ::-1].cumprod()[::-1], "v", label="E (∂L/∂h)²")
    axes.plot(layers, control.forward[0].cumprod(), "s", label="E h², control")
    axes.set(xlabel="layer", ylabel="over that of the input, or of the last layer", yscale="log")
