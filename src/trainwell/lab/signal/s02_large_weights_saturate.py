"""S02: with weights 0.05·randn the activations of a deep tanh net saturate at ±1, and its local gradients are all zero.

The same net as in S01 with s = 0.05, so that σ_w² = 10.24 at width 4096. Half of the units do saturate: the share of
|h| > c is erfc(artanh(c)/√(2q)). The mean local slope falls to 0.28, not to 0, and the large weights outweigh it: the
factor χ on the gradient's second moment is 1.96 per layer, so that gradients explode with depth. The first gradient is
six times larger than Xavier's: the lecture is right about saturation and wrong about what follows from it.

Decks: R
Control: Xavier's variance in the same place.
Source: Glorot & Bengio 2010, §4.1; Poole et al. 2016, arXiv:1606.05340 (the chaotic phase).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array, normal_weights, passes, tanh_slope
from trainwell.theory.signal_flow import propagate_signal, tanh_saturation

FORMULA = r"""
P(|h_l| > c) = \mathrm{erfc}\left(\mathrm{artanh}(c)\,/\sqrt{2 q_l}\right)
\chi_l = \sigma_w^2\, E\,\phi'(\sqrt{q_l}\, z)^2
"""


@dataclass(frozen=True)
class Setting:
    width: int
    depth: int = 6
    batch: int = 16
    std: float = 0.05
    threshold: float = 0.95
    seed: int = 0


QUICK = Setting(width=4096)
FULL = Setting(width=4096, batch=256)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    shares: Array  # of saturated units, per layer
    slopes: Array  # mean φ', per layer
    chi: Array  # σ_w² E φ'²
    first: float  # first weights' gradient over Xavier's
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    weights = normal_weights(setting.width, setting.depth, generator)
    inputs, top = (torch.randn(setting.batch, setting.width, generator=generator) for _ in range(2))
    xavier = setting.width**-0.5
    std = setting.std if cause else xavier
    found, reference = (passes(weights, s, inputs, top, torch.tanh, tanh_slope) for s in (std, xavier))
    slopes = [tanh_slope(z) for z in found.sums]
    return Measured(
        np.array([float((h.abs() > setting.threshold).double().mean()) for h in found.signals[1:]]),
        np.array([float(slope.mean()) for slope in slopes]),
        np.array([setting.width * std**2 * float(slope.square().mean()) for slope in slopes]),
        float(found.weight_gradient[0] / reference.weight_gradient[0]),
        setting,
    )


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    flow, xavier = (propagate_signal("tanh", [s.width] * (s.depth + 1), v) for v in (s.std**2, 1 / s.width))
    return [
        Check(
            "share of saturated units, each layer",
            measured.shares,
            "at_least",
            0.4,
            0.0,
            "claim",
            "a net that saturates has a large part of its units there; Xavier's has at most 7 %",
        ),
        Check(
            "mean local slope, each layer",
            measured.slopes,
            "at_most",
            0.1,
            0.0,
            "claim",
            "“zero” is read as a tenth of the slope at the origin",
        ),
        Check(
            "first gradient over Xavier's",
            measured.first,
            "at_most",
            0.1,
            0.0,
            "claim",
            "“no learning” is read as a tenth of Xavier's gradient",
        ),
        Check(
            "share of saturated units",
            measured.shares,
            "equals",
            tanh_saturation(flow.q, s.threshold),
            0.015,
            "theory",
            "absolute: four standard errors of 65 536 dependent units are 0.01",
            absolute=True,
        ),
        Check(
            "mean local slope", measured.slopes, "equals", flow.mean_slope, 0.04, "theory", "4 %: four standard errors"
        ),
        Check("χ per layer", measured.chi, "equals", flow.chi, 0.04, "theory", "4 %: four standard errors"),
        Check(
            "first gradient over Xavier's, predicted",
            measured.first,
            "equals",
            flow.weight_gradient[0] / xavier.weight_gradient[0],
            0.07,
            "theory",
            "7 %: four standard errors of one net",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    s = with_cause.setting
    layers = np.arange(1, s.depth + 1)
    for variance, label in ((s.std**2, "theory, 0.05"), (1 / s.width, "theory, Xavier")):
        axes.plot(layers, propagate_signal("tanh", [s.width] * (s.depth + 1), variance).chi, label=label)
    axes.plot(layers, with_cause.chi, "o", label="measured, with the cause")
    axes.plot(layers, control.chi, "s", label="measured, control")
    axes.set(xlabel="layer", ylabel="χ: factor on the gradient's second moment", ylim=(0, None))
