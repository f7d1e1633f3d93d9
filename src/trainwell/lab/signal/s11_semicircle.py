"""S11: the eigenvalues of large random matrices follow Wigner's semicircle and the law of Marchenko and Pastur.

For symmetric W with entries of mean 0 and variance 1 the eigenvalues of W/√N fill [−2, 2] with the density
√(4 − x²)/(2π); for W of shape p × n those of WWᵀ/n follow Marchenko–Pastur with c = p/n. The law of the entries does
not matter as long as mean and variance are as said: signs ±1 do as well as normal numbers. The lecture omits both
hypotheses, and without them the theorem is false.

Decks: T
Control: Cauchy entries, which have no variance.
Source: Wigner 1958; Marchenko & Pastur 1967.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.theory.spectral_laws import MarchenkoPastur, Semicircle

FORMULA = r"""
\rho(x) = \frac{\sqrt{4 - x^2}}{2\pi}, \quad \rho_c(x) = \frac{\sqrt{(b - x)(x - a)}}{2\pi c x}
a, b = (1 \mp \sqrt{c})^2, \quad c = p/n
"""
SHAPE = 0.5  # c


@dataclass(frozen=True)
class Setting:
    size: int
    seed: int = 0


QUICK = Setting(size=1000)
FULL = Setting(size=8000)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    normal: Array  # eigenvalues of a symmetric matrix, sorted
    signs: Array
    covariance: Array  # of WWᵀ/n


def measure(setting: Setting, cause: bool) -> Measured:
    generator = np.random.default_rng(setting.seed)
    n, shape = setting.size, (setting.size, setting.size)
    first = generator.standard_normal(shape) if cause else generator.standard_cauchy(shape)
    second = generator.choice([-1.0, 1.0], shape) if cause else generator.standard_cauchy(shape)
    wide = first[: int(SHAPE * n)]
    return Measured(_symmetric(first), _symmetric(second), np.linalg.eigvalsh(wide @ wide.T / n).astype(float))


def _symmetric(entries: Array) -> Array:
    upper = np.triu(entries)
    return np.linalg.eigvalsh((upper + np.triu(upper, 1).T) / len(entries) ** 0.5)


def distance(values: Array, cdf: Array) -> float:
    """Kolmogorov–Smirnov distance of sorted values to a law, given by its distribution function at them."""
    steps = np.arange(len(values) + 1) / len(values)
    return float(max(np.abs(cdf - steps[1:]).max(), np.abs(cdf - steps[:-1]).max()))


def check(measured: Measured) -> list[Check]:
    circle, pastur = Semicircle(), MarchenkoPastur(SHAPE)
    reason = "the bound of the claim; eigenvalues repel each other, so that one matrix of size 1000 is within 0.005"
    moments = [float((measured.normal**k).mean()) for k in (2, 4, 6)]
    return [
        Check(
            "distance to the semicircle, normal entries",
            distance(measured.normal, circle.cdf(measured.normal)),
            "at_most",
            0.02,
            0.0,
            "claim",
            reason,
        ),
        Check(
            "distance to the semicircle, entries ±1",
            distance(measured.signs, circle.cdf(measured.signs)),
            "at_most",
            0.02,
            0.0,
            "claim",
            reason,
        ),
        Check(
            "distance to Marchenko–Pastur",
            distance(measured.covariance, pastur.cdf(measured.covariance)),
            "at_most",
            0.02,
            0.0,
            "claim",
            reason,
        ),
        Check(
            "moments 2, 4, 6",
            moments,
            "equals",
            [circle.moment(k) for k in (2, 4, 6)],
            0.05,
            "theory",
            "5 %: corrections of order 1/N, and a fluctuation below 1 %",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    x = np.linspace(-2, 2, 201)
    axes.plot(x, Semicircle().density(x), label="theory: semicircle")
    axes.hist(with_cause.normal, bins=40, density=True, alpha=0.35, label="normal entries")
    inside = np.clip(control.normal, -4, 4)
    axes.hist(inside, bins=40, density=True, histtype="step", label="control: Cauchy, cut at ±4")
    axes.set(xlabel="eigenvalue", ylabel="density")
