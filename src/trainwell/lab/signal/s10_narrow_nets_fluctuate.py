"""S10: Kaiming is not enough for deep narrow nets: from net to net the norm fluctuates as exp(c·L/d).

Each ReLU layer of width d multiplies ‖h‖² by an independent random factor of mean 1, (2/d) χ²_K with K ~ Bin(d, ½),
so that Var ln‖h_L‖² = L v(d), v(d) = E ψ'(K/2) + Var ψ(K/2) = 5/d + O(1/d²). The mean is kept, yet the typical net
shrinks, and the ratio of moments grows as (1 + 5/d)^L: the constant in the exponent is 5. K = 0, a dead net whose
logarithm is −∞, has the probability 2^−d a layer (one net of 50 000 at d = 20, L = 20) and is left out on both sides.

Decks: T
Control: orthogonal linear layers, which keep every norm.
Source: Hanin & Rolnick 2018, arXiv:1803.01719; Hanin & Nica 2020, arXiv:1812.05994.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.lab.signal.relu_factors import relu_factors
from trainwell.theory.finite_width import log_norm_step

FORMULA = r"""
\mathrm{Var}\,\ln\|h_L\|^2 = L\,v(d), \quad v(d) = E\,\psi'(K/2) + \mathrm{Var}\,\psi(K/2) \approx 5/d
"""
WIDTHS = (20, 40, 80)
DEPTHS = (5, 10, 20)


@dataclass(frozen=True)
class Setting:
    nets: int
    seed: int = 0


QUICK = Setting(nets=2000)
FULL = Setting(nets=50000)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    variances: Array  # Var ln‖h_L‖², shape (widths, depths)
    means: Array  # E ln‖h_L‖² at the largest depth, per layer, shape (widths,)
    nets: int


def measure(setting: Setting, cause: bool) -> Measured:
    logs = [_logs(width, setting, cause).cumsum(1)[:, np.array(DEPTHS) - 1] for width in WIDTHS]
    return Measured(
        np.array([each.var(0, ddof=1) for each in logs]),
        np.array([each[:, -1].mean() / DEPTHS[-1] for each in logs]),
        setting.nets,
    )


def _logs(width: int, setting: Setting, cause: bool) -> Array:
    """ln of every layer's factor on ‖h‖², shape (nets, depth), of the nets in which no layer is all zeros."""
    if cause:
        factors = relu_factors(width, max(DEPTHS), setting.nets, 2 / width, setting.seed + width)
        return np.log(factors[(factors > 0).all(1)])
    generator = torch.Generator().manual_seed(setting.seed + width)
    h = torch.randn(20, width, 1, generator=generator, dtype=torch.float64)
    found = np.empty((20, max(DEPTHS)))
    for layer in range(max(DEPTHS)):
        turn = torch.linalg.qr(torch.randn(20, width, width, generator=generator, dtype=torch.float64)).Q
        before, h = h, turn @ h
        found[:, layer] = (h.square().sum((1, 2)) / before.square().sum((1, 2))).log()
    return found


def predicted() -> Array:
    """L v(d), the variance of ln‖h_L‖², shape (widths, depths)."""
    return np.array([[depth * log_norm_step(width)[1] for depth in DEPTHS] for width in WIDTHS])


def ratios() -> Array:
    """L/d."""
    return np.array([[depth / width for depth in DEPTHS] for width in WIDTHS])


def check(measured: Measured) -> list[Check]:
    spread = measured.variances.std()
    fit = np.corrcoef(ratios().ravel(), measured.variances.ravel())[0, 1] ** 2 if spread > 1e-12 else float("nan")
    error = 4 * (2 / measured.nets) ** 0.5
    means = np.array([log_norm_step(width)[0] for width in WIDTHS])
    return [
        Check(
            "R² of the variance of ln‖h‖² against L/d",
            fit,
            "at_least",
            0.98,
            0.0,
            "claim",
            "the bound of the claim; without noise it is 0.99 at these widths",
        ),
        Check(
            "variance of ln‖h‖² over L/d",
            measured.variances / ratios(),
            "at_least",
            1.0,
            0.0,
            "claim",
            "exp(L/d) as printed is a lower bound",
        ),
        Check(
            "variance of ln‖h‖²",
            measured.variances,
            "equals",
            predicted(),
            error,
            "theory",
            f"four standard errors, √(2/nets) each: {100 * error:.0f} %",
        ),
        Check(
            "mean of ln‖h‖² a layer",
            measured.means,
            "equals",
            means,
            0.008,
            "theory",
            "absolute: four standard errors, √(v(d)/(20 · nets)) each, of the narrowest net",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    order = np.argsort(ratios().ravel())
    axes.plot(ratios().ravel()[order], 5 * ratios().ravel()[order], label="5 L/d, the leading term")
    for place, width in enumerate(WIDTHS):  # v(d) d is not the same for all widths
        axes.plot(ratios()[place], predicted()[place], "-", label=f"theory, L v({width})")
    axes.plot(ratios().ravel(), with_cause.variances.ravel(), "o", label="measured, with the cause")
    axes.plot(ratios().ravel(), control.variances.ravel(), "s", label="measured, control")
    axes.set(xlabel="depth over width", ylabel="variance of ln‖h‖²")
