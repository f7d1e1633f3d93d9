"""R05: error = representation + global gap + convergence + generalization, and each term can be brought about alone.

F(θ) is the training error (here the mean square), F* its least value in the class of the model, θ^∞ the point that
training goes to if it never stops, θ̂ where it stopped:

    test error = F*  +  [F(θ^∞) − F*]  +  [F(θ̂) − F(θ^∞)]  +  [test − F](θ̂).

That this adds up is algebra. That the terms are four different illnesses is not: the claim says that each can be
brought about alone, and that faster methods cure the convergence error, other starts the global gap. The student has
weights w_j = relu(u_j) ≥ 0 on p features, and a teacher with positive weights. Its dials:

    representation   the teacher reads one more feature, of energy r²:        F* = r²
    global gap       weights that start at u_j < 0 have gradient 0 for ever:  the energy of their features
    convergence      condition number κ > 1, gradient descent of t steps:     Σ λ_j (1 − λ_j/λ_1)^{2t} a_j²
    generalization   n < p random samples in place of a representative one:   |a|² (1 − n/p)

a is the distance from the start to the teacher. A representative sample has exactly the moments of the population; on
a random one the dials are not independent: features left out raise F* by r² (1 − p/n) only, and add
r² (p/n + p/(n−p−1)) to the generalization error. Noise in the targets acts as they do, which the lecture's
"training error = representation + optimization" passes over.

Decks: T
Control: every dial at zero; there is no error and so nothing to be split.
Source: Bottou & Bousquet 2008, §2; least squares on random samples: Hastie et al. 2022, arXiv:1903.08560.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.report.drawing import INK
from trainwell.theory.least_squares_risk import least_squares_errors, min_norm_risk, unfinished_descent
from trainwell.theory.rates import quadratic_rate

Array = NDArray[np.float64]
FORMULA = r"""
\mathrm{test} = F^* + [F(\theta^\infty) - F^*] + [F(\hat\theta) - F(\theta^\infty)] + [\mathrm{test} - F](\hat\theta)
"""
TERMS = ("representation", "global gap", "convergence", "generalization")
START, TEACHER = 2.0, 3.0  # in units of √(1/λ_j): so far from 0 that no weight dies on its way
EXACT = 1e-8  # what 1000 steps leave where nothing is in their way: (1 − 1/κ)^2000 of the random samples


@dataclass(frozen=True)
class Setting:
    runs: int
    features: int = 20
    samples: int = 100
    few: int = 10
    steps: int = 1000
    condition: float = 1e4
    seed: int = 0


QUICK = Setting(runs=300)
FULL = Setting(runs=3000)


@dataclass(frozen=True)
class Problem:
    """The dials; as they stand, no error."""

    missing: float = 0.0  # energy of the feature that the student lacks
    dead: int = 0  # weights that start below 0
    condition: float = 1.0
    samples: int = 0  # of a random sample; 0: a representative one
    method: str = "gd_safe"


@dataclass(frozen=True)
class Measured:
    """What one run gives; shapes end in the four terms."""

    terms: Array  # mean over the runs, a row for each dial
    errors: Array  # standard errors of these
    test: Array  # test error of each dial's problem, by its definition
    cured: Array  # the second and third row again, with weights that all start above 0 and a faster method
    sampled: Array  # the first row again, on a random sample
    sampled_errors: Array
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    dials = [
        Problem(missing=1.0),
        Problem(dead=1),
        Problem(condition=setting.condition),
        Problem(samples=setting.few),
    ]
    cures = [replace(dials[1], dead=0), replace(dials[2], method="nesterov")]
    sampled = Problem(missing=1.0, samples=setting.samples)
    problems = [*dials, *cures, sampled] if cause else [Problem()] * 7
    generator = torch.Generator().manual_seed(setting.seed)
    found = [_solved(problem, setting, generator) for problem in problems]
    means, errors = zip(*(mean_and_error(terms) for terms, _ in found), strict=True)
    test = np.array([float(test.mean()) for _, test in found])
    return Measured(
        np.array(means[:4]), np.array(errors[:4]), test[:4], np.array(means[4:6]), means[6], errors[6], setting
    )


def _solved(problem: Problem, setting: Setting, generator: torch.Generator) -> tuple[Array, Array]:
    """The four terms of every run, shape (runs, 4), and the test errors, shape (runs,)."""
    curvature = spectrum(problem.condition, setting.features)
    teacher, start = TEACHER / curvature.sqrt(), START / curvature.sqrt()
    start[: problem.dead] *= -1
    X, beyond = _sample(problem, setting, generator, curvature)
    y = X @ teacher + problem.missing**0.5 * beyond
    end = _descended(problem, X, y, start, setting.steps)
    limit, best = (_least_squares(X, y, start, free) for free in (start > 0, torch.ones_like(start, dtype=torch.bool)))
    at_end, at_limit, at_best = ((y - torch.einsum("rnp,rp->rn", X, w)).square().mean(1) for w in (end, limit, best))
    test = ((end - teacher).square() * curvature).sum(1) + problem.missing
    terms = torch.stack([at_best, at_limit - at_best, at_end - at_limit, test - at_end], 1)
    return terms.numpy(), test.numpy()


def spectrum(condition: float, features: int) -> Tensor:
    """λ: second moments of the features, from 1 down to 1/κ in equal ratios."""
    return torch.logspace(0, -float(np.log10(condition)), features, dtype=torch.float64)


def _sample(problem: Problem, setting: Setting, generator: torch.Generator, curvature: Tensor) -> tuple[Tensor, Tensor]:
    """The features, shape (runs, n, p), and the one that the student lacks, shape (runs, n)."""
    n = problem.samples or setting.samples
    drawn = torch.randn(setting.runs, n, setting.features + 1, generator=generator, dtype=torch.float64)
    if not problem.samples:
        drawn = torch.linalg.qr(drawn).Q * n**0.5  # exactly uncorrelated
    return drawn[..., :-1] * curvature.sqrt(), drawn[..., -1]


def _descended(problem: Problem, X: Tensor, y: Tensor, start: Tensor, steps: int) -> Tensor:
    """The weights w = relu(u) after descent on half the mean square error, shape (runs, p)."""
    hessian, towards = X.mT @ X / X.shape[1], torch.einsum("rnp,rn->rp", X, y) / X.shape[1]
    curvatures = torch.linalg.eigvalsh(hessian)[:, -1:]
    rate = quadratic_rate(problem.method, 1.0, 1 / problem.condition)  # of a problem with largest curvature 1
    u, velocity = start.expand(len(X), -1).clone(), torch.zeros(len(X), X.shape[2], dtype=X.dtype)
    for _ in range(steps):
        gradient = (torch.einsum("rpq,rq->rp", hessian, u.relu()) - towards) * (u > 0)
        velocity = rate.momentum * velocity + gradient
        u = u - rate.lr / curvatures * (gradient + rate.momentum * velocity)
    return u.relu()


def _least_squares(X: Tensor, y: Tensor, start: Tensor, free: Tensor) -> Tensor:
    """The least squares weights nearest to the start; those that are not free stay 0. Where descent ends."""
    w = start.expand(len(X), -1) * free
    step = torch.linalg.pinv(X[:, :, free]) @ (y - torch.einsum("rnp,rp->rn", X, w))[..., None]
    w = w.clone()
    w[:, free] += step[..., 0]
    return w


def predicted(setting: Setting) -> Array:
    """The own term of each dial."""
    energy, distance = TEACHER**2, TEACHER - START
    curvature = spectrum(setting.condition, setting.features).numpy()
    slow = 2 * unfinished_descent(curvature, distance / np.sqrt(curvature), 1.0, setting.steps)
    few = min_norm_risk(setting.features, setting.few, signal=setting.features * distance**2, noise=0.0)
    return np.array([1.0, energy, float(slow), float(few)])


def check(measured: Measured) -> list[Check]:
    s, terms = measured.setting, measured.terms
    own, others = np.diag(terms), terms[~np.eye(4, dtype=bool)]
    rounding = f"{EXACT:g}: rounding, and what {s.steps} steps leave of a problem without obstacle"
    theory, error = predicted(s), float(measured.errors[3, 3])
    sampled = measured.sampled_errors[::3].tolist()
    spread = "absolute: four standard errors of the runs"
    train, test = least_squares_errors(s.features, s.samples)
    return [
        Check("sum of the terms, each problem", terms.sum(1), "equals", measured.test, 1e-9, "claim", "algebra"),
        Check("own term of each dial", own, "at_least", 0.5, 0.0, "claim", "half the energy of one feature"),
        Check("the other three terms", others, "equals", 0.0, EXACT, "claim", rounding, absolute=True),
        Check(
            "dead weights, another start: global gap", measured.cured[0, 1], "at_most", 0.0, EXACT, "claim", rounding
        ),
        Check(
            "κ, Nesterov's method: convergence error over that of gradient descent",
            measured.cured[1, 2] / np.maximum(terms[2, 2], EXACT),
            "at_most",
            0.01,
            0.0,
            "claim",
            "a hundredth at least: κ becomes √κ",
        ),
        Check("own term of the first three dials", own[:3], "equals", theory[:3], EXACT, "theory", rounding),
        Check(
            "generalization error of few samples", own[3], "equals", theory[3], 4 * error, "theory", spread, True, error
        ),
        *(
            Check(
                f"random sample, feature left out: {name}", value, "equals", right, 4 * se, "theory", spread, True, se
            )
            for name, value, right, se in zip(
                TERMS[::3], measured.sampled[::3], (train, test - train), sampled, strict=True
            )
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    rows = np.vstack([with_cause.terms, with_cause.sampled, with_cause.cured, control.terms[:1]])
    names = ["feature missing", "dead weights", "κ = 10⁴", "few samples", "missing, random sample"]
    names += ["cured: other start", "cured: Nesterov", "control"]
    places, left = np.arange(len(rows))[::-1], np.zeros(len(rows))
    for term, name in enumerate(TERMS):
        axes.barh(places, np.maximum(rows[:, term], 0), left=left, height=0.6, label=name)
        left = left + np.maximum(rows[:, term], 0)
    axes.plot(predicted(with_cause.setting), places[:4], "|", ms=20, mew=2, color=INK, label="theory")
    axes.set(xlabel="test error, mean square", yticks=places, yticklabels=names)
