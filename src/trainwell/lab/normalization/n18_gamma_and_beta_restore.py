"""N18: a scale γ and a shift β give back the representation power that normalizing takes.

Fit n targets t by normalized outputs η(h) = (h − mean)/standard deviation, where h is free or h = X w: outputs of mean
0 and mean square 1 only, so that ½‖η(h) − t‖² is at least (n/2)(μ_t² + (σ_t − 1)²), with μ_t and σ_t the mean and
standard deviation of the targets. With γ η(h) + β the fit is exact, at γ = σ_t, β = μ_t. (In a net, “impossible”
needs a layer behind the normalization that cannot undo it; here there is none.)

The lecture's remark says that γ = ‖h‖, β = mean(h) restore everything. Its η divides by the standard deviation, so
that γ has to be σ(h): with ‖h‖ the spread comes out √(n (1 + μ²/σ²)) times too wide.

Decks: T
Control: targets that are normalized already, which need neither.
Source: Ioffe & Szegedy 2015, §3, arXiv:1502.03167.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.experiment import Check
from trainwell.nn.normalization.batchnorm_backward import normalize_batch
from trainwell.theory.batch_normalization import normalization_gap
from trainwell.theory.gaussian import Array

FORMULA = r"""
\min_h\ \frac{1}{2}\|\eta(h) - t\|^2 = \frac{n}{2}\left[\mu_t^2 + (\sigma_t - 1)^2\right], \quad \min_{h,\gamma,\beta}\ \frac{1}{2}\|\gamma\,\eta(h) + \beta - t\|^2 = 0
"""  # noqa: E501 - a line of mathtext cannot be broken
EPS = 1e-20  # of the normalization: h of any size counts as it is


@dataclass(frozen=True)
class Setting:
    samples: int
    inputs: int  # of h = X w; h is free as well
    steps: int  # of L-BFGS
    means: tuple[float, ...] = (0.0, 1.0, 3.0)
    stds: tuple[float, ...] = (0.5, 1.0, 2.0, 3.0, 4.0)
    seed: int = 0


QUICK = Setting(samples=8, inputs=4, steps=400)
FULL = Setting(samples=1000, inputs=100, steps=2000)


@dataclass(frozen=True)
class Measured:
    """What one run gives: losses per sample, shape (h free or linear, targets), and what theory says of them."""

    plain: Array
    restored: Array
    gap: Array
    printed: Array  # spread of ‖t‖ η(t) + mean(t) over that of t, shape (targets,)
    targets: Array  # μ_t, σ_t; shape (2, targets)
    samples: int


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    n = setting.samples
    X = torch.randn(n, setting.inputs, generator=generator, dtype=torch.float64)
    pairs = [(mean, std) for mean in setting.means for std in setting.stds] if cause else [(0.0, 1.0)]
    weights = torch.randn(setting.inputs, len(pairs), generator=generator, dtype=torch.float64)
    raw = X @ weights  # within reach of h = X w
    unit = (raw - raw.mean(0)) / raw.std(0, correction=0)
    means, stds = torch.tensor(pairs, dtype=torch.float64).T
    t = stds * unit + means
    inputs = (torch.eye(n).double(), X)
    plain, restored = (
        torch.stack([_least(affine, t, each, setting.steps, generator) for each in inputs]).numpy() / n
        for affine in (False, True)
    )
    gap = np.array([normalization_gap(column) for column in t.T.numpy()]) / n
    back = normalize_batch(t, t.norm(dim=0), t.mean(0), EPS)
    printed = (back.std(0, correction=0) / t.std(0, correction=0)).numpy()
    return Measured(plain, restored, gap, printed, np.array(pairs).T, n)


def _least(affine: bool, t: Tensor, X: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """½‖output − t‖² of every column of t after descent from a random start; shape (targets,)."""
    columns = t.shape[1]
    w = torch.randn(X.shape[1], columns, generator=generator, dtype=torch.float64).requires_grad_()
    gamma, beta = (value.repeat(columns).double().requires_grad_() for value in (torch.ones(1), torch.zeros(1)))

    def losses() -> Tensor:
        return (normalize_batch(X @ w, gamma, beta, EPS) - t).square().sum(0) / 2

    optimizer = torch.optim.LBFGS(
        [w, gamma, beta] if affine else [w],
        max_iter=steps,
        tolerance_grad=1e-12,
        tolerance_change=0,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = losses().sum()
        total.backward()
        return total

    optimizer.step(closure)
    return losses().detach()


def check(measured: Measured) -> list[Check]:
    needs = measured.gap > 0.01 if (measured.gap > 0.01).any() else np.ones(len(measured.gap), bool)
    return [
        Check(
            "loss per sample without γ, β, targets of other mean or spread",
            measured.plain[:, needs],
            "at_least",
            0.01,
            0.0,
            "claim",
            "“impossible”: far above what descent leaves of a loss whose minimum is 0",
        ),
        Check("loss per sample with γ and β", measured.restored, "at_most", 0.0, 1e-6, "claim", "what descent leaves"),
        Check(
            "loss without γ, β",
            measured.plain,
            "equals",
            measured.gap,
            1e-6,
            "theory",
            "what descent leaves",
            absolute=True,
        ),
        Check(
            "γ = ‖h‖ as printed: spread over the right one",
            measured.printed,
            "equals",
            (measured.samples * (1 + (measured.targets[0] / measured.targets[1]) ** 2)) ** 0.5,
            1e-9,
            "theory",
            "rounding",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    means, stds = with_cause.targets
    line = np.linspace(0.4, stds.max(), 100)
    for mean in np.unique(means):
        axes.plot(line, 0.5 * (mean**2 + (line - 1) ** 2), label=f"theory without, mean {mean:g}")
    axes.plot(stds, with_cause.plain[0], "o", label="η(h)")
    axes.plot(stds, with_cause.restored[0], "s", label="γ η(h) + β")
    axes.plot(control.targets[1], control.plain[0], "D", label="η(h), control")
    axes.set(xlabel="standard deviation of the targets", ylabel="least loss per sample")
