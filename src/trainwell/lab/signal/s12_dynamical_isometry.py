"""S12: only orthogonal weights with hard-tanh can reach dynamical isometry, not Gaussian ones and not ReLU.

The Jacobian of a random net, J = D_L W_L … D_1 W_1 with D_l = diag φ'(z_l), is a dynamical isometry if all its
singular values s are close to 1: every small change then passes through all layers at its size, forward and backward.
What can be tuned is the second moment q of the pre-activations z, by the size of the input, σ_w (of √d · weight) and
σ_b (of the biases), with the mean of s² kept at 1: σ_w² p = 1, p = E φ'(z)². Free probability gives the whole law of s
as the width d grows; its spread is

    Var s² = L (1 − p)/p  for orthogonal weights,    L/p  for Gaussian ones.

ReLU has p = ½ whatever q is: L or 2L. Hard-tanh, max(−1, min(1, z)), has p = erf(1/√(2q)), which tends to 1 as q → 0:
Gaussian weights keep L, orthogonal ones tend to 0. So the lecture's Table 4.1 says No, No, No, Yes. “Close to 1” here
means that nine of ten singular values are within a tenth of 1, at the best q tried. (The lecture defines σ_w² as
Var(w)/d; it is d · Var(w). The semicircle law, which it calls related, is none of these laws.)

Decks: T
Control: the same without tuning, q = 1.
Source: Pennington, Schoenholz & Ganguli 2017, §2.5, arXiv:1711.04735.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.init import orthogonal_
from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.theory.critical_point import critical
from trainwell.theory.singular_spectra import JacobianSpectrum, jacobian_spectrum

FORMULA = r"""
\mathrm{orthogonal:}\ \ \lambda = \frac{1 + M}{M} \left[\frac{p + M}{p\,(1 + M)}\right]^L
\mathrm{Gaussian:}\ \ \lambda = \frac{1 + M}{M} \left[\frac{p + M}{p}\right]^L
\rho(\lambda) = -\frac{1}{\pi}\, \mathrm{Im}\, \frac{1 + M(\lambda)}{\lambda}, \quad \lambda = s^2
"""
ROWS = (("gaussian", "relu"), ("gaussian", "hard_tanh"), ("orthogonal", "relu"), ("orthogonal", "hard_tanh"))
REACHED = (False, False, False, True)  # Table 4.1
MOMENTS = (1.0, 0.3, 0.1)  # q; ReLU's Jacobian does not depend on it
NEAR, SHARE = 0.1, 0.9  # isometry: this share of the singular values is that near to 1
RESOLVED = 1e-5  # singular values below are rounding: eigenvalues of JJᵀ are exact to 1e-16 of the largest
NAMES = {"gaussian": "Gaussian", "orthogonal": "orthogonal", "relu": "ReLU", "hard_tanh": "hard-tanh"}


@dataclass(frozen=True)
class Setting:
    width: int
    depth: int = 10
    seed: int = 0


QUICK = Setting(width=1000)
FULL = Setting(width=6000)


@dataclass(frozen=True)
class Law:
    """One row of the table at one q."""

    row: int
    q: float
    singular: Array  # all singular values of one net, increasing
    steep: float  # p of this net: share of its units, in all layers, whose slope is 1 and not 0

    @property
    def near(self) -> float:
        """Share of them that is near to 1."""
        return float((np.abs(self.singular - 1) <= NEAR).mean())


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    laws: tuple[Law, ...]
    setting: Setting

    def best(self, row: int) -> Law:
        """That of the q for which most singular values are near to 1."""
        return max((law for law in self.laws if law.row == row), key=lambda law: law.near)


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    plan = [
        (row, q)
        for row, (_, activation) in enumerate(ROWS)
        for q in (MOMENTS if cause and activation == "hard_tanh" else MOMENTS[:1])
    ]
    weights = {kind: _weights(kind, setting, generator) for kind in ("gaussian", "orthogonal")}
    laws = (Law(row, q, *_jacobian(weights[ROWS[row][0]], ROWS[row][1], q, generator)) for row, q in plan)
    return Measured(tuple(laws), setting)


def _weights(kind: str, setting: Setting, generator: torch.Generator) -> list[Tensor]:
    shape, exact = (setting.width, setting.width), torch.float64
    if kind == "orthogonal":
        empty = [torch.empty(shape, dtype=exact) for _ in range(setting.depth)]
        return [orthogonal_(weight, generator=generator) for weight in empty]
    draws = [torch.randn(shape, generator=generator, dtype=exact) for _ in range(setting.depth)]
    return [draw / setting.width**0.5 for draw in draws]


def _jacobian(weights: list[Tensor], activation: str, q: float, generator: torch.Generator) -> tuple[Array, float]:
    """Singular values of the Jacobian at one input on the edge of chaos at q, and the share of units of slope 1."""
    point, width = critical(activation, q), len(weights[0])
    h = torch.randn(width, generator=generator, dtype=torch.float64)
    h *= ((q - point.sigma_b**2) / h.square().mean()).sqrt() / point.sigma_w  # E z² = q in the first layer too
    jacobian, off = torch.eye(width, dtype=torch.float64), 0
    for weight in weights:
        z = point.sigma_w * weight @ h
        z += point.sigma_b * torch.randn(width, generator=generator, dtype=torch.float64)
        flat, h = (z <= 0, z.relu()) if activation == "relu" else (z.abs() >= 1, z.clamp(-1, 1))
        jacobian = point.sigma_w * weight @ jacobian
        jacobian[flat] = 0
        off += int(flat.sum())
    squares = torch.linalg.eigvalsh(jacobian @ jacobian.T).clamp(min=0)
    return squares.sqrt().numpy(), 1 - off / (width * len(weights))


def law_of(law: Law, setting: Setting) -> JacobianSpectrum:
    """The same in theory, for width → ∞."""
    kind, activation = ROWS[law.row]
    return jacobian_spectrum(activation, setting.depth, q=law.q, gaussian=kind == "gaussian")


def law_given_slopes(law: Law, setting: Setting) -> JacobianSpectrum:
    """The same in theory with p as it was drawn: it varies from net to net, the spectrum for a given p hardly does."""
    chances = np.array([1 - law.steep, law.steep])
    return replace(law_of(law, setting), values=np.array([0.0, 1.0]), chances=chances)


def distance(singular: Array, spectrum: JacobianSpectrum) -> float:
    """The largest difference of the two distribution functions, left and right of every resolved value."""
    resolved = singular[singular > RESOLVED]
    places = np.concatenate([resolved * (1 - 1e-6), resolved * (1 + 1e-6)])  # beside the atoms, where both jump
    share = np.searchsorted(singular, places) / singular.size
    return float(np.abs(share - spectrum.cdf(places**2)).max())


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    checks = [
        Check(
            f"{NAMES[kind]}, {NAMES[activation]}: share of s within {NEAR:.0%} of 1, best q",
            measured.best(row).near,
            "at_least" if reached else "at_most",
            SHARE,
            0.0,
            "claim",
            f"Table 4.1: {'Yes' if reached else 'No'}; close to 1 means {SHARE:.0%} within {NEAR:.0%}",
        )
        for row, ((kind, activation), reached) in enumerate(zip(ROWS, REACHED, strict=True))
    ]
    best = measured.best(3)
    error = 0.5 / s.width**0.5
    return [
        *checks,
        Check(
            "share of units of slope 1, every case",
            [law.steep for law in measured.laws],
            "equals",
            [law_of(law, s).slope_moment(1) for law in measured.laws],
            4 * error,
            "theory",
            f"absolute: four times √(¼/width) = {error:.2g}, not less for all layers, which share q's fluctuation",
            absolute=True,
        ),
        Check(
            "Kolmogorov distance from the law of free probability, every case",
            [distance(law.singular, law_given_slopes(law, s)) for law in measured.laws],
            "at_most",
            0.0,
            0.02,
            "theory",
            "absolute: the bound of the claim at width 1000; with p as drawn what is left falls as 1/width",
            absolute=True,
        ),
        Check(
            "orthogonal, hard-tanh: share of s within 10 % of 1",
            best.near,
            "equals",
            float(np.diff(law_of(best, s).cdf([(1 - NEAR) ** 2, (1 + NEAR) ** 2]))[0]),
            4 * (s.depth * (1 - law_of(best, s).slope_moment(1)) / s.width) ** 0.5,
            "theory",
            "absolute: four standard errors of the number of flat units, each of which takes one value away",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    s = np.geomspace(0.02, 8, 300)
    laws = [with_cause.best(row) for row in range(len(ROWS))] + [control.best(3)]
    for place, law in enumerate(laws):
        kind, activation = ROWS[law.row]
        color = f"C{place}"
        name = f"{NAMES[kind]}, {NAMES[activation]}, q = {law.q:g}" + (" (control)" if place == 4 else "")
        axes.plot(s, law_of(law, with_cause.setting).cdf(s**2), color=color, label=name)
        places = s[5 * place :: 30]
        axes.plot(places, np.searchsorted(law.singular, places) / law.singular.size, "o", color=color)
    axes.axvspan(1 - NEAR, 1 + NEAR, color="0.5", alpha=0.15, linewidth=0)
    axes.set(xlabel="singular value s of the Jacobian", ylabel="share of values below s", xscale="log")
