"""N01: standardizing the features lowers the condition number of least squares and speeds gradient descent up.

A standardized feature is (x − mean)/standard deviation. The condition number κ is the ratio of the largest to the
smallest eigenvalue of the Hessian H = X̃ᵀX̃/n (X̃: the features and a column of ones for the bias). At its best rate
gradient descent needs (κ/2) ln(1/ε) steps to bring the error down to ε of its start. Means and unequal scales raise κ:
two features of scales 1 and 100 and correlation ½ have κ = 13334, standardized 3.

Lecture T says that standardizing “will reduce the condition number”. Usually, not always: of all scalings of the
features it is the best one up to a factor d, their number, and no more is certain. The covariance
[[3,−8,−7],[−8,32,28],[−7,28,25]] has κ = 210 before and 276 after. (T's σ also lacks its square root.)

Decks: T M R G
Control: the same features, standardized already.
Source: LeCun et al. 1998, “Efficient BackProp”, §4.3; van der Sluis 1969, Numer. Math. 14.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.data import Moments
from trainwell.lab.experiment import Check
from trainwell.lab.normalization.exact_features import (
    PRECISION,
    condition,
    descent_steps,
    exact_features,
    predicted_steps,
)
from trainwell.theory.conditioning import correlated_condition, uncentred_condition
from trainwell.theory.gaussian import Array

FORMULA = r"""
\kappa = \lambda_{max}/\lambda_{min}\ \ \mathrm{of}\ \ H = \tilde{X}^T\tilde{X}/n, \quad x'_j = (x_j - \mu_j)/\sigma_j
\mathrm{steps} = \frac{\ln \epsilon}{\ln\,(\kappa-1)/(\kappa+1)} \approx \frac{\kappa}{2}\,\ln\frac{1}{\epsilon}
"""
SCALES, RHO, MEAN = (1.0, 100.0), 0.5, 10.0
RISES = np.array([[3.0, -8.0, -7.0], [-8.0, 32.0, 28.0], [-7.0, 28.0, 25.0]])  # covariance whose κ standardizing raises


@dataclass(frozen=True)
class Setting:
    sets: int  # random data sets beside those with closed forms
    samples: int = 500
    features: int = 6
    widest: float = 10.0  # largest over smallest scale of the random sets
    seed: int = 0


QUICK = Setting(sets=20)
FULL = Setting(sets=500, samples=5000)


@dataclass(frozen=True)
class Measured:
    """What one run gives: of every data set (two scales, a mean, random ones, the one that rises) before and after."""

    kappa: Array  # shape (sets, 2)
    steps: Array  # shape (sets, 2)
    features: Array  # d of each set, without the bias


def measure(setting: Setting, cause: bool) -> Measured:
    sets = _data(setting)
    pairs = [(X if cause else _standardized(X), _standardized(X if cause else _standardized(X))) for X in sets]
    return Measured(
        np.array([[condition(X) for X in pair] for pair in pairs]),
        np.array([[descent_steps(X) for X in pair] for pair in pairs], float),
        np.array([X.shape[1] for X in sets], float),
    )


def _data(setting: Setting) -> list[Array]:
    generator = np.random.default_rng(setting.seed)
    n, d = setting.samples, setting.features
    product = RHO * SCALES[0] * SCALES[1]
    two = exact_features(n, np.zeros(2), np.array([[SCALES[0] ** 2, product], [product, SCALES[1] ** 2]]), generator)
    shifted = exact_features(n, np.array([MEAN]), np.eye(1), generator)
    rises = exact_features(n, np.zeros(3), RISES, generator)
    scales = np.geomspace(1, setting.widest, d)
    random = []
    for _ in range(setting.sets):
        common, own = generator.standard_normal((n, 1)), generator.standard_normal((n, d))
        loads, means = 0.5 * generator.standard_normal(d), generator.standard_normal(d)
        random.append((own + common * loads + means) * scales)
    return [two, shifted, *random, rises]


def _standardized(X: Array) -> Array:
    moments = Moments.of(X)
    return (X - moments.mean) / np.sqrt(moments.variance())


def check(measured: Measured) -> list[Check]:
    kappa, steps, d = measured.kappa, measured.steps, measured.features
    halved = "a gain worth the name: a factor 2; at means and scales this unequal the least gain is far larger"
    closed = [correlated_condition(RHO, SCALES), correlated_condition(RHO)]
    predicted = np.array([[predicted_steps(each) for each in pair] for pair in kappa])
    ratio = (steps[:, 1] / steps[:, 0]) / (kappa[:, 1] / kappa[:, 0])
    bound = "van der Sluis; centring is a Schur complement of H and does not raise κ"
    large = kappa[:, 1] >= 2.5  # below, steps are not proportional to κ
    return [
        Check("κ after over κ before", kappa[:-1, 1] / kappa[:-1, 0], "at_most", 0.5, 0.0, "claim", halved),
        Check("steps after over steps before", steps[:-1, 1] / steps[:-1, 0], "at_most", 0.5, 0.0, "claim", halved),
        Check(
            "the same for features chosen against it (T: “will reduce”)",
            kappa[-1:, 1] / kappa[-1:, 0],
            "at_most",
            1.0,
            1e-6,
            "claim",
            "rounding times κ; “will” is said of every data matrix",
        ),
        Check("κ, scales 1 and 100: before, after", kappa[0], "equals", closed, 1e-6, "theory", "rounding times κ"),
        Check(
            "κ, a mean of 10: before, after",
            kappa[1],
            "equals",
            [uncentred_condition(MEAN), uncentred_condition(0.0)],
            1e-6,
            "theory",
            "rounding times κ",
        ),
        Check("κ after over d κ before", kappa[:, 1] / (d * kappa[:, 0]), "at_most", 1.0, 0.0, "theory", bound),
        Check("steps of descent", steps, "equals", predicted, 1.0, "theory", "one step, of rounding", absolute=True),
        Check(
            "ratio of the steps over ratio of the κ",
            ratio[large],
            "equals",
            1.0,
            0.12,
            "theory",
            "1/(3κ²) and a step of rounding up in 16, for κ of 2.5 and more",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    kappas = np.geomspace(1.5, 2 * with_cause.kappa.max(), 100)
    axes.plot(kappas, 0.5 * kappas * np.log(1 / PRECISION), label="theory, (κ/2) ln(1/ε)")
    for place, (name, mark) in enumerate((("before", "s"), ("standardized", "o"))):
        axes.plot(with_cause.kappa[:-1, place], with_cause.steps[:-1, place], mark, label=name)
    axes.plot(*zip(*_path(with_cause, -1), strict=True), "v-", label="chosen against it: 210 → 276")
    axes.plot(control.kappa[:, 0], control.steps[:, 0], "x", label="control, before")
    axes.set(xlabel="condition number κ", ylabel="steps of descent to 1e-6", xscale="log", yscale="log")


def _path(measured: Measured, place: int) -> list[tuple[float, float]]:
    return [(measured.kappa[place, side], measured.steps[place, side]) for side in (0, 1)]
