"""S01: with weights 0.01·randn the activations of a deep tanh net die towards 0, and so do its weights' gradients.

The lecture's net: seven layers of 4096 units (six weight matrices), tanh, weights N(0, s²), s = 0.01, against Xavier's
variance 1/d. With σ_w² = d s² the second moments follow q = σ_w² m, m' = E tanh²(√q z), and the gradient of the first
weights is in proportion to the product of the slopes' moments. At d = 4096, σ_w² is 0.41: activations shrink by 0.6 a
layer, but the first gradient is only 4.6 times smaller than Xavier's; a hundredfold takes d = 1024, where σ_w² = 0.10.

Decks: R
Control: Xavier's variance in the same place.
Source: Glorot & Bengio 2010, §4.2; Schoenholz et al. 2017, arXiv:1611.01232.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array, normal_weights, passes, tanh_slope
from trainwell.theory.signal_flow import SignalFlow, propagate_signal

FORMULA = r"""
q_{l} = \sigma_w^2\, m_{l-1}, \quad m_l = E\,\tanh^2(\sqrt{q_l}\,z), \quad \sigma_w^2 = d\,s^2
\|\partial L/\partial W_1\|^2 \propto E\,\phi'(\sqrt{q_1} z)^2\, \prod_{l=2}^{L} \sigma_w^2\, E\,\phi'(\sqrt{q_l} z)^2
"""


@dataclass(frozen=True)
class Setting:
    width: int
    narrow: int
    nets: int  # of the narrow width; one of the wide
    depth: int = 6
    batch: int = 16
    std: float = 0.01
    seed: int = 0


QUICK = Setting(width=4096, narrow=1024, nets=4)
FULL = Setting(width=4096, narrow=1024, nets=64)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    stds: Array  # of each layer's activations, wide net
    wide: float  # Xavier's first gradient over this one's
    narrow: float
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    stds, wide = _net(setting, setting.width, cause, generator)
    logs = [np.log(_net(setting, setting.narrow, cause, generator)[1]) for _ in range(setting.nets)]
    return Measured(stds, wide, float(np.exp(np.mean(logs))), setting)


def _net(setting: Setting, width: int, cause: bool, generator: torch.Generator) -> tuple[Array, float]:
    """Standard deviations, and Xavier's first gradient over that of the net; both from the same random numbers."""
    weights = normal_weights(width, setting.depth, generator)
    inputs, top = (torch.randn(setting.batch, width, generator=generator) for _ in range(2))
    xavier = width**-0.5
    found, reference = (
        passes(weights, std, inputs, top, torch.tanh, tanh_slope) for std in (setting.std if cause else xavier, xavier)
    )
    ratio = reference.weight_gradient[0] / found.weight_gradient[0]
    return np.sqrt(found.second_moment), float(ratio)


def predict(width: int, depth: int, variance: float) -> SignalFlow:
    """What the recursion says of a net of equal widths with weights of this variance."""
    return propagate_signal("tanh", [width] * (depth + 1), variance)


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    wide = predict(s.width, s.depth, s.std**2)
    ratios = [
        predict(d, s.depth, 1 / d).weight_gradient[0] / predict(d, s.depth, s.std**2).weight_gradient[0]
        for d in (s.width, s.narrow)
    ]
    reason = "the factor by which the lecture's word “zero” is read"
    return [
        Check(
            "activations die: std of each layer over the one before",
            measured.stds[1:] / measured.stds[:-1],
            "at_most",
            0.7,
            0.0,
            "claim",
            "Xavier's ratios are 0.77 and more",
        ),
        Check(
            f"first gradient at width {s.width}: Xavier's over this",
            measured.wide,
            "at_least",
            100.0,
            0.0,
            "claim",
            reason,
        ),
        Check(
            f"first gradient at width {s.narrow}: Xavier's over this",
            measured.narrow,
            "at_least",
            100.0,
            0.0,
            "claim",
            reason,
        ),
        Check(
            "std of each layer's activations",
            measured.stds,
            "equals",
            np.sqrt(wide.m),
            0.05,
            "theory",
            "5 %: the fluctuation of one net of 4096 units is below 2 %",
        ),
        Check(
            f"the factor at width {s.width}",
            measured.wide,
            "equals",
            ratios[0],
            0.05,
            "theory",
            "5 %: one net, both arms from the same random numbers",
        ),
        Check(
            f"the factor at width {s.narrow}",
            measured.narrow,
            "equals",
            ratios[1],
            0.1,
            "theory",
            "10 %: geometric mean of 4 nets, each with a spread of about 5 %",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    s = with_cause.setting
    layers = np.arange(1, s.depth + 1)
    axes.plot(layers, np.sqrt(predict(s.width, s.depth, s.std**2).m), label="theory, 0.01")
    axes.plot(layers, np.sqrt(predict(s.width, s.depth, 1 / s.width).m), label="theory, Xavier")
    axes.plot(layers, with_cause.stds, "o", label="measured, with the cause")
    axes.plot(layers, control.stds, "s", label="measured, control")
    axes.set(xlabel="layer", ylabel="std of the activations", ylim=(0, None))
