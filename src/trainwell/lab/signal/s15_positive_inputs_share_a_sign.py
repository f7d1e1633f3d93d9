"""S15: all-positive inputs force all of a unit's weight gradients to one sign; centring the inputs frees them.

A unit f(w·x + b) has ∂L/∂w = δ x with one number δ for each example, so that x > 0 gives every entry the sign of δ. For
d centred inputs of independent signs the more frequent sign has a mean share of ½ + E|Bin(d, ½) − d/2|/d.

The lecture's sentence is about one example. In the sum over a batch, Σ δ_i x_i, the δ_i of both signs partly cancel:
for inputs U(0, 1) an entry is N(½ Σδ_i, Σδ_i²/12), and the share falls to ½ + arctan(√3)/π = 5/6 (a little more where
inputs and samples are few), and not to chance. What remains in a batch is the mean direction μ: the Hessian E xxᵀ of
squared error is Σ + μμᵀ, the largest curvature is about ‖μ‖² larger than without the mean, and the rate has to be that
much smaller.

Decks: R
Control: inputs U(−½, ½), which have no mean that centring could remove.
Source: LeCun et al. 1998, "Efficient BackProp", §4.3.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.theory.rates import quadratic_rate
from trainwell.theory.sign_agreement import batch_majority_share, majority_share

FORMULA = r"""
\partial L/\partial w = \sum_i \delta_i\, x_i
E\,x x^T = \Sigma + \mu \mu^T
"""
BATCHES = (1, 2, 4, 8, 16, 32)
TARGET = 1e-6  # distance to the minimum over that of the start


@dataclass(frozen=True)
class Setting:
    inputs: int
    units: int  # for each share; each with its own weights and batch
    examples: int  # of least squares
    teachers: int
    data: str
    pictures: int
    seed: int = 0


QUICK = Setting(inputs=20, units=4000, examples=2000, teachers=20, data="digits", pictures=1000)
FULL = Setting(inputs=100, units=40000, examples=50000, teachers=50, data="mnist", pictures=10000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; the pairs are before and after centring."""

    shares: Array  # mean share of the majority sign by batch size, shape (2, batches)
    errors: Array  # standard errors of these
    lowest: Array  # lowest share among single examples and among single pictures before centring
    curvature: float  # largest eigenvalue of the Hessian before centring
    steps: Array  # of gradient descent to TARGET at its best rate, shape (2, teachers)
    bounds: Array  # most steps that the rate allows, shape (2,)
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    means, errors, singles = np.empty((2, len(BATCHES))), np.empty((2, len(BATCHES))), np.empty(0)
    for place, batch in enumerate(BATCHES):
        X = torch.rand(setting.units, batch, setting.inputs, generator=generator, dtype=torch.float64)
        X = X if cause else X - 0.5
        for side, each in enumerate((X, X - X.mean((0, 1)))):
            shares = _shares(each, generator)
            means[side, place], errors[side, place] = mean_and_error(shares)
            singles = shares if side == 0 and batch == 1 else singles
    pictures = labelled_pictures(setting.data, setting.pictures, 1, setting.seed).flat.X.double()
    pictures = pictures - (pictures.min() if cause else pictures.mean(0))  # standardized → blank paper is 0 again
    lowest = np.array([singles.min(), _shares(pictures[:, None], generator).min()])
    X = torch.rand(setting.examples, setting.inputs, generator=generator, dtype=torch.float64)
    X = X if cause else X - 0.5
    goals = torch.randn(setting.inputs, setting.teachers, generator=generator, dtype=torch.float64)
    top, steps, bounds = zip(*(_descend(each, goals) for each in (X, X - X.mean(0))), strict=True)
    return Measured(means, errors, lowest, top[0], np.array(steps), np.array(bounds), setting)


def _shares(X: Tensor, generator: torch.Generator) -> Array:
    """Share of the more frequent sign in ∂L/∂w of sigmoid units, each with its own batch; X: (units, batch, inputs)."""
    units, batch, inputs = X.shape
    w = torch.randn(units, inputs, generator=generator, dtype=X.dtype) / inputs**0.5
    upstream = torch.randn(units, batch, generator=generator, dtype=X.dtype)  # ∂L/∂f of each example
    w.requires_grad_()
    f = torch.sigmoid((X @ w[:, :, None]).squeeze(2))
    (gradient,) = torch.autograd.grad(f, w, grad_outputs=upstream)
    above, below = (gradient > 0).sum(1), (gradient < 0).sum(1)  # a pixel that is 0 has no sign
    return (torch.maximum(above, below) / (above + below)).double().numpy()


def _descend(X: Tensor, goals: Tensor) -> tuple[float, Array, int]:
    """Least squares y = X w* from w = 0 at the best constant rate: largest curvature, steps to TARGET, their bound."""
    hessian = X.T @ X / len(X)
    curvatures = torch.linalg.eigvalsh(hessian)
    rate = quadratic_rate("gd", float(curvatures[-1]), float(curvatures[0]))
    bound = rate.steps(TARGET)
    w, steps = torch.zeros_like(goals), np.full(goals.shape[1], bound + 1)
    targets = X.T @ (X @ goals) / len(X)
    for step in range(1, bound + 1):
        w -= rate.lr * (hessian @ w - targets)
        there = ((w - goals).norm(dim=0) <= TARGET * goals.norm(dim=0)).numpy()
        steps[there & (steps > step)] = step
        if there.all():
            break
    return float(curvatures[-1]), steps, bound


def population_curvature(inputs: int) -> float:
    """Largest eigenvalue of Σ + μμᵀ for inputs U(0, 1): variance 1/12, mean ½."""
    return float(np.linalg.eigvalsh(np.eye(inputs) / 12 + np.full((inputs, inputs), 0.25))[-1])


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    ratio, error = mean_and_error(measured.steps[0] / measured.steps[1])
    deviation = 4 * 4 / (12 * s.inputs * s.examples) ** 0.5
    return [
        Check(
            "one example or picture: lowest share of the majority sign",
            measured.lowest,
            "equals",
            1.0,
            0.0,
            "claim",
            "exact: a product of δ and positive numbers",
        ),
        Check(
            "one example, centred: share of the majority sign",
            measured.shares[1, 0],
            "equals",
            majority_share(s.inputs),
            4 * 0.5 / (s.inputs * s.units) ** 0.5,
            "claim",
            "absolute: “≈ chance” is four standard errors; a share's deviation is below ½/√inputs",
            absolute=True,
            error=measured.errors[1, 0],
        ),
        Check(
            "steps to the target over those after centring",
            ratio,
            "at_least",
            2.0,
            0.0,
            "claim",
            "“frees” is taken as half the steps at most; theory has ‖μ‖² over the variance: more than the inputs",
            error=error,
        ),
        Check(
            "batch of 32: share of the majority sign",
            measured.shares[0, -1],
            "equals",
            batch_majority_share(s.inputs, BATCHES[-1]),
            4 * 0.2 / s.units**0.5,
            "theory",
            "absolute: four standard errors; the deviation of a share between ½ and 1 is below 0.2",
            absolute=True,
            error=measured.errors[0, -1],
        ),
        Check(
            "largest curvature before centring",
            measured.curvature,
            "equals",
            population_curvature(s.inputs),
            deviation,
            "theory",
            "relative: four standard errors, 4/√(12 · inputs · examples) each",
        ),
        Check(
            "steps to the target",
            measured.steps,
            "at_most",
            measured.bounds[:, None],
            0.0,
            "theory",
            "the factor (κ − 1)/(κ + 1) a step bounds every start",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    inputs = with_cause.setting.inputs
    axes.plot(BATCHES, [1.0] * len(BATCHES), label="theory, one positive example: 1")
    axes.plot(BATCHES, [0.5 + np.arctan(3**0.5) / np.pi] * len(BATCHES), label="theory, large positive batch: 5/6")
    axes.plot(BATCHES, [float(majority_share(inputs))] * len(BATCHES), label=f"theory, chance for {inputs} inputs")
    axes.plot(BATCHES, with_cause.shares[0], "o", label="positive inputs")
    axes.plot(BATCHES, with_cause.shares[1], "^", label="the same, centred")
    axes.plot(BATCHES, control.shares[0], "s", label="control: no mean")
    axes.set(xlabel="examples in the batch", ylabel="share of the majority sign", xscale="log")
    axes.set_xticks(BATCHES, [str(batch) for batch in BATCHES])
    axes.minorticks_off()
