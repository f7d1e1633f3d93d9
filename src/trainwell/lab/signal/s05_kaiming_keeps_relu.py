"""S05: Kaiming initialization keeps the scale of a ReLU net at every layer, with normal and uniform weights alike.

Var W = 2/d makes up for the half that ReLU drops: E h² is the same in every layer, exactly and at every width, whatever
the symmetric law of the weights (no symmetry of h is needed). One lecture prints the variance as 2/√d; that multiplies
E h² by √d at every layer.

Decks: R K M G
Control: Xavier's variance 1/d, under which the same code halves E h².
Source: He et al. 2015, eq. 10, arXiv:1502.01852.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.lab.signal.relu_factors import relu_factors

FORMULA = r"""
E\,h_{l+1}^2 = \frac{d\, \mathrm{Var}\,W}{2}\, E\,h_l^2 = E\,h_l^2 \quad \mathrm{for}\ \mathrm{Var}\,W = 2/d
"""


@dataclass(frozen=True)
class Setting:
    width: int
    nets: int
    depth: int = 30
    seed: int = 0


QUICK = Setting(width=32, nets=3000)
FULL = Setting(width=1024, nets=1000)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    normal: Array  # factor of each layer, mean over the nets
    uniform: Array
    printed: float  # factor of one layer with the variance as one lecture prints it
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    width, nets = setting.width, setting.nets
    variance = (2.0 if cause else 1.0) / width
    normal, uniform = (
        relu_factors(width, setting.depth, nets, variance, setting.seed, uniform=law).mean(0) for law in (False, True)
    )
    printed = relu_factors(width, 1, nets, 2 / width**0.5, setting.seed).mean()
    return Measured(normal, uniform, float(printed), setting)


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    error = (5 / (s.width * s.nets)) ** 0.5
    reason = f"5 %; the standard error is {100 * error:.2g} %"
    whole = 4 * s.depth**0.5 * error
    why = f"four standard errors, √(5 · depth/(width · nets)): {100 * whole:.2g} %"
    return [
        Check("normal weights: factor of every layer", measured.normal, "equals", 1.0, 0.05, "claim", reason),
        Check("uniform weights: factor of every layer", measured.uniform, "equals", 1.0, 0.05, "claim", reason),
        Check("normal weights: E h² after all layers", measured.normal.prod(), "equals", 1.0, whole, "theory", why),
        Check("uniform weights: E h² after all layers", measured.uniform.prod(), "equals", 1.0, whole, "theory", why),
        Check(
            "variance 2/√d: factor of a layer",
            measured.printed,
            "equals",
            s.width**0.5,
            4 * error,
            "theory",
            "four standard errors: this rule is a misprint of one lecture",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    layers = np.arange(1, len(with_cause.normal) + 1)
    axes.plot(layers, np.ones(len(layers)), label="theory, He")
    axes.plot(layers, 0.5**layers, label="theory, Xavier")
    axes.plot(layers, with_cause.normal.cumprod(), "o", label="normal, with the cause")
    axes.plot(layers, with_cause.uniform.cumprod(), "^", label="uniform, with the cause")
    axes.plot(layers, control.normal.cumprod(), "s", label="normal, control")
    axes.set(xlabel="layer", ylabel="E h²", yscale="log")
