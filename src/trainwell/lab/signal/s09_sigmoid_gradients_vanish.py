"""S09: in a deep sigmoid net the early layers' gradients are orders of magnitude smaller, by a quarter or less a layer.

σ' is at most ¼, so that a layer of weights N(0, σ_w²/d) multiplies the gradient's norm by √χ ≤ σ_w/4, where
χ = σ_w² E σ'(√q z)² at the fixed point q = σ_w² E σ(√q z)². The norm falls by ½ log₁₀ χ decades a layer: 0.63 at
σ_w = 1, 0.38 at σ_w = 2.

Decks: M K
Control: ReLU with He's variance, whose gradients keep their norm.
Source: Hochreiter 1991; Glorot & Bengio 2010; Schoenholz et al. 2017, arXiv:1611.01232.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array, normal_weights, passes, relu_slope, sigmoid_slope
from trainwell.theory.mean_field import mean_field_at

FORMULA = r"""
\frac{\|\partial L/\partial h_l\|}{\|\partial L/\partial h_{l+1}\|} \rightarrow \sqrt{\chi}
\chi = \sigma_w^2\, E\,\sigma'(\sqrt{q}\,z)^2 \leq \sigma_w^2 / 16
"""
GAINS = (1.0, 2.0)  # σ_w


@dataclass(frozen=True)
class Setting:
    width: int
    nets: int
    depth: int = 12
    batch: int = 16
    seed: int = 0


QUICK = Setting(width=512, nets=8)
FULL = Setting(width=4096, nets=8)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    signals: Array  # log₁₀ ‖∂L/∂h_l‖, mean over the nets, shape (gains, depth)
    weights: Array  # log₁₀ ‖∂L/∂W_l‖


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    functions = (torch.sigmoid, sigmoid_slope) if cause else (torch.relu, relu_slope)
    found = np.empty((setting.nets, 2, len(GAINS), setting.depth))
    for net in range(setting.nets):
        weights = normal_weights(setting.width, setting.depth, generator)
        inputs, top = (torch.randn(setting.batch, setting.width, generator=generator) for _ in range(2))
        for place, gain in enumerate(GAINS):
            scale = (gain if cause else 2**0.5) * setting.width**-0.5
            both = passes(weights, scale, inputs, top, *functions)
            found[net, :, place] = np.log10([both.signal_gradient, both.weight_gradient])
    return Measured(*found.mean(0))


def slopes(logs: Array) -> Array:
    """Decades a layer from the last layer down to the third, beyond the first two, where q is not yet at rest."""
    return (logs[..., 2] - logs[..., -1]) / (logs.shape[-1] - 3)


def check(measured: Measured) -> list[Check]:
    theory = 0.5 * np.log10([mean_field_at("sigmoid", gain, 0.0).chi for gain in GAINS])
    factors = 10 ** (measured.signals[:, :-1] - measured.signals[:, 1:])
    return [
        Check(
            "first layer's weight gradient over the last one's, log₁₀",
            measured.weights[:, 0] - measured.weights[:, -1],
            "at_most",
            -2.0,
            0.0,
            "claim",
            "“orders of magnitude” are two at least",
            absolute=True,
        ),
        Check(
            "factor of every layer over a quarter of the gain",
            factors / (0.25 * np.array(GAINS)[:, None]),
            "at_most",
            1.0,
            0.03,
            "claim",
            "3 %: two standard errors of a layer's factor, which is 6 % below the bound",
        ),
        Check(
            "decades a layer, ∂L/∂h",
            slopes(measured.signals),
            "equals",
            theory,
            0.015,
            "theory",
            "absolute: four standard errors over nine layers and the nets",
            absolute=True,
        ),
        Check(
            "decades a layer, ∂L/∂W",
            slopes(measured.weights),
            "equals",
            theory,
            0.03,
            "theory",
            "absolute: as above; the mean activation of a layer adds its own fluctuation",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    depth = with_cause.signals.shape[1]
    layers = np.arange(1, depth + 1)
    for place, gain in enumerate(GAINS):
        slope = 0.5 * np.log10(mean_field_at("sigmoid", gain, 0.0).chi)
        axes.plot(layers, with_cause.signals[place, -1] + slope * (depth - layers), label=f"theory, gain {gain:g}")
        axes.plot(layers, with_cause.signals[place], "o", label=f"measured, gain {gain:g}")
    axes.plot(layers, control.signals[0], "s", label="measured, control")
    axes.set(xlabel="layer", ylabel="log₁₀ norm of ∂L/∂h")
