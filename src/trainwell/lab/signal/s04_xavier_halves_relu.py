"""S04: under ReLU, Xavier initialization halves the second moment at every layer.

W has independent N(0, 1/d) entries. Each pre-activation is symmetric around 0, so that ReLU drops half of its second
moment: E h² = ½ E h'² exactly, at every width. (It is the second moment that halves, not the variance: h has a mean.)

Decks: R
Control: He's variance 2/d, for which the same code must not halve.
Source: He et al. 2015, §2.2, arXiv:1502.01852.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.lab.signal.relu_factors import relu_factors
from trainwell.theory.activation_moments import nonlinearity

FORMULA = r"""
E\,h_{l+1}^2 = \frac{\sigma_w^2}{2}\, E\,h_l^2, \quad \sigma_w^2 = d\, \mathrm{Var}\,W = 1
"""


@dataclass(frozen=True)
class Setting:
    width: int
    nets: int
    depth: int = 10
    seed: int = 0


QUICK = Setting(width=128, nets=1000)
FULL = Setting(width=4096, nets=400)


def measure(setting: Setting, cause: bool) -> Array:
    """Factor of each layer, mean over the nets."""
    variance = (1.0 if cause else 2.0) / setting.width
    return relu_factors(setting.width, setting.depth, setting.nets, variance, setting.seed).mean(0)


def check(factors: Array) -> list[Check]:
    theory = float(nonlinearity("relu").second_moment(1.0))
    return [
        Check(
            "factor of every layer",
            factors,
            "equals",
            0.5,
            0.03,
            "claim",
            "3 %: four standard errors √(5/(width · nets))",
        ),
        Check(
            "mean factor", factors.mean(), "equals", theory, 0.01, "theory", "1 %: four standard errors over ten layers"
        ),
    ]


def draw(with_cause: Array, control: Array, axes: Any) -> None:
    layers = np.arange(1, len(with_cause) + 1)
    axes.plot(layers, np.full(len(layers), 0.5), label="theory, Xavier: ½")
    axes.plot(layers, np.ones(len(layers)), label="theory, He: 1")
    axes.plot(layers, with_cause, "o", label="measured, with the cause")
    axes.plot(layers, control, "s", label="measured, control")
    axes.set(xlabel="layer", ylabel="E h² over the layer before", ylim=(0, 1.2))
