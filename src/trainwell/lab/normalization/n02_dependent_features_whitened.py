"""N02: where features depend on each other standardizing is not enough; PCA and whitening bring κ down to 1.

κ is the condition number of the covariance, and of least squares with a bias. Two standardized features of correlation
ρ have κ = (1 + ρ)/(1 − ρ): 19 at 0.9, 199 at 0.99. Principal components, the centred features rotated onto the
covariance's eigenvectors, are uncorrelated and have the κ of the raw ones; whitening divides them by their standard
deviations: covariance 1, κ = 1, and gradient descent arrives in one step.

Lecture M writes whitening as U of X = U S Vᵀ (m samples). That has covariance 1/m: κ is 1 all the same, and the best
rate of descent is m times larger. Directions without variance have to be left out: S + eps would not do it.

Decks: M R
Control: the same features, each shuffled among the samples by itself, so that they are independent.
Source: LeCun et al. 1998, “Efficient BackProp”, §4.3; Kessy, Lewin & Strimmer 2018, arXiv:1512.00809.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trainwell.data import Covariance, Moments, load
from trainwell.data.whitening_fit import condition_number, rotation
from trainwell.lab.experiment import Check
from trainwell.lab.normalization.exact_features import descent_steps, exact_features, predicted_steps
from trainwell.theory.conditioning import correlated_condition
from trainwell.theory.gaussian import Array

FORMULA = r"""
X = U S V^T: \quad \mathrm{PCA}\ \ X V = U S, \quad \mathrm{whitened}\ \ \sqrt{m}\,U
\kappa_{standardized} = \frac{1+\rho}{1-\rho}, \quad \kappa_{PCA} = \kappa_{raw}, \quad \kappa_{whitened} = 1
"""
RHOS = (0.9, 0.95, 0.99, 0.995)
SCALES = (1.0, 3.0)
FORMS = ("raw", "standardized", "PCA", "whitened")
EPS = 1e-13  # of the whitening, relative: below the share 1e-12 from which directions count as empty


@dataclass(frozen=True)
class Setting:
    samples: int
    seed: int = 0


QUICK = Setting(samples=1000)
FULL = Setting(samples=100_000)


@dataclass(frozen=True)
class Measured:
    """What one run gives of two features at every ρ, and of the 64 pixels of handwritten digits."""

    kappa: Array  # shape (ρ, forms)
    steps: Array  # shape (ρ, forms)
    off_diagonal: Array  # largest of the covariance after whitening, shape (ρ + 1,), the digits last
    digits: Array  # κ of the digits' covariance, shape (forms,)
    lecture: Array  # covariance of U times m, of the largest ρ


def measure(setting: Setting, cause: bool) -> Measured:
    generator = np.random.default_rng(setting.seed)
    kappa, steps, off = [], [], []
    for rho in RHOS:
        product = rho * SCALES[0] * SCALES[1]
        covariance = np.array([[SCALES[0] ** 2, product], [product, SCALES[1] ** 2]])
        X = exact_features(setting.samples, np.zeros(2), covariance, generator)
        forms = _forms(X if cause else _shuffled(X, generator))
        kappa.append([_condition(each) for each in forms])
        steps.append([descent_steps(each) for each in forms])
        off.append(_off_diagonal(forms[-1]))
    centred = forms[0] - forms[0].mean(0)
    U = np.linalg.svd(centred, full_matrices=False)[0]
    digits = load("digits")
    pixels = np.asarray(digits.X)[digits.splits.train].reshape(-1, 64) / 255.0
    forms = _forms(pixels if cause else _shuffled(pixels, generator))
    off.append(_off_diagonal(forms[-1]))
    lecture = Covariance.of(U).covariance() * len(U)
    return Measured(
        np.array(kappa), np.array(steps, float), np.array(off), np.array(list(map(_condition, forms))), lecture
    )


def _shuffled(X: Array, generator: np.random.Generator) -> Array:
    """Each column in an order of its own."""
    return np.column_stack([generator.permutation(column) for column in X.T])


def _forms(X: Array) -> list[Array]:
    """Raw, standardized, principal components, whitened; features that do not vary are left out."""
    moments, found = Moments.of(X), Covariance.of(X)
    varies = moments.variance() > 0
    standardized = ((X - moments.mean) / np.sqrt(np.where(varies, moments.variance(), 1)))[:, varies]
    rotated = [(X - found.mean) @ rotation(found, name, eps=EPS).matrix.T for name in ("pca", "pca_whiten")]
    return [X[:, varies], standardized, *rotated]


def _condition(X: Array) -> float:
    return condition_number(np.linalg.eigvalsh(Covariance.of(X).covariance()))[0]


def _off_diagonal(X: Array) -> float:
    covariance = Covariance.of(X).covariance()
    return float(np.abs(covariance - np.diag(np.diag(covariance))).max())


def check(measured: Measured) -> list[Check]:
    standardized, whitened = measured.kappa[:, 1], measured.kappa[:, 3]
    theory = [
        [correlated_condition(rho, SCALES), correlated_condition(rho), correlated_condition(rho, SCALES), 1.0]
        for rho in RHOS
    ]
    predicted = np.array([[predicted_steps(kappa) for kappa in row] for row in theory])
    tenfold = "an order of magnitude above whitened"
    return [
        Check("κ standardized", standardized, "at_least", 10.0, 0.0, "claim", tenfold),
        Check("κ standardized, digits", measured.digits[1], "at_least", 10.0, 0.0, "claim", tenfold),
        Check("κ whitened", whitened, "equals", 1.0, 1e-6, "claim", "rounding and ε times κ"),
        Check("κ whitened, digits", measured.digits[3], "equals", 1.0, 1e-6, "claim", "rounding and ε times κ"),
        Check("covariance off the diagonal", measured.off_diagonal, "at_most", 0.0, 1e-6, "claim", "the claim's"),
        Check("κ, all forms", measured.kappa, "equals", theory, 1e-6, "theory", "rounding times κ"),
        Check(
            "κ PCA over κ raw, digits",
            measured.digits[2] / measured.digits[0],
            "equals",
            1.0,
            1e-3,
            "theory",
            "rounding times κ",
        ),
        Check(
            "lecture M's U: m times its covariance",
            measured.lecture,
            "equals",
            np.eye(2),
            1e-10,
            "theory",
            "rounding: the covariance is 1/m, not 1",
            absolute=True,
        ),
        Check(
            "steps of descent",
            measured.steps,
            "equals",
            predicted,
            1.0,
            "theory",
            "one step of rounding",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    rhos = 1 - np.geomspace(0.5, 0.003, 60)
    axes.plot(1 - rhos, [correlated_condition(rho, SCALES) for rho in rhos], label="theory: raw, PCA")
    axes.plot(1 - rhos, (1 + rhos) / (1 - rhos), label="theory: standardized")
    axes.plot(1 - rhos, np.ones(60), label="theory: whitened")
    for place, mark in enumerate("s^xo"):
        axes.plot(1 - np.array(RHOS), with_cause.kappa[:, place], mark, label=FORMS[place])
    axes.plot(1 - np.array(RHOS), control.kappa[:, 1], "v", label="standardized, control")
    axes.set(xlabel="1 − correlation of the two features", ylabel="condition number κ", xscale="log", yscale="log")
    axes.invert_xaxis()
