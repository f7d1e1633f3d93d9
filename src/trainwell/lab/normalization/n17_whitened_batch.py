"""N17: decorrelated batch normalization and iterative normalization whiten a batch, and such nets need fewer steps.

Batch normalization (BN) gives every feature of a batch mean 0 and variance 1, and leaves the features correlated.
Decorrelated BN multiplies the centred batch by Σ^{-1/2}, Σ its covariance matrix ("ZCA whitening"); iterative
normalization replaces the root by T Newton–Schulz steps, P ← ½(3P − P³ Σ/tr Σ) from P = I. Both give covariance I:
Newton–Schulz only if T fits the spectrum. An eigenvalue λ of Σ/tr Σ needs (3/2)^T well above λ^{-1/2}, so that the
usual T = 5 leaves the variances of 64 uncorrelated features at 0.59.

Where a layer reads the normalized features, its least-squares problem has condition number κ = 1 after whitening, and
after BN that of the correlation matrix; gradient descent needs about (κ/2) ln(1/ε) steps to reduce its error by ε. In a
hidden layer the root is taken of an estimate: against the true root the output of B standard normal samples of d
features is off by E(x̂ − x)² ≈ (d + 5)/(4B) a feature, (d + 5)/6 times BN's 3/(2B); and weak directions, which say
little of the labels, get the weight of strong ones. One lecture calls whitening "doable, but a lot of work". The steps
that papers report to save are not saved here: the net on digits needs more.

Decks: M
Control: groups of one feature, which make both methods batch normalization.
Source: Huang et al. 2018, arXiv:1804.08450; Huang et al. 2019, arXiv:1904.03441, algorithm 1.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.many_nets import ManyNets
from trainwell.lab.signal.random_net import Array
from trainwell.nn import DecorrelatedBatchNorm, IterativeNorm
from trainwell.theory.batch_normalization import batch_noise
from trainwell.theory.conditioning import newton_schulz_eigenvalues
from trainwell.theory.rates import quadratic_rate

FORMULA = r"""
\hat{x} = \Sigma^{-1/2}(x - \mu), \quad \frac{1}{B}\sum_i \hat{x}_i \hat{x}_i^T = I
\Sigma^{-1/2} \approx P_T/\sqrt{\mathrm{tr}\,\Sigma}, \quad P_0 = I
P_k = \frac{1}{2}\,(3 P_{k-1} - P_{k-1}^3\, \Sigma/\mathrm{tr}\,\Sigma)
"""
FEATURES, SPREAD = 8, 100.0  # the batch's variances along its axes go from 1 to 1/SPREAD in equal factors
STEPS = 10  # T that this spectrum needs
USUAL, WIDE = 5, 64  # the paper's T; features where it is too small
EPS = 1e-12
GOAL = 1e-6  # squared error left, of that at the start
RATES = (0.3, 1.0, 3.0)


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    width: int
    nets: int
    steps: int
    batch: int = 128
    samples: int = 4096
    target: float = 0.1  # training loss, mean over 5 batches
    seed: int = 0


QUICK = Setting("digits", pictures=1250, width=32, nets=6, steps=120)
FULL = Setting("cifar10", pictures=40_000, width=64, nets=10, steps=6000, target=1.3)


@dataclass(frozen=True)
class Measured:
    """What one run gives; pairs are (batch normalization, decorrelated)."""

    exact: Array  # covariance of the decorrelated batch
    iterated: Array  # of the iterated one
    before: Array  # eigenvalues of the batch's covariance
    wide: Array  # of that of the batch of 64 features
    short: Array  # and after the usual T
    correlations: Array  # eigenvalues of the covariance after batch normalization
    linear: tuple[int, int]  # steps of gradient descent of one layer behind
    losses: Array  # of the nets at the best rate, mean over the nets: pairs × steps
    reached: Array  # steps to the target there: pairs × nets
    noise: tuple[float, float]  # E(x̂ − x)² a feature of a batch of the net's size
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    x = correlated(setting.samples, generator)
    plain = torch.randn(setting.samples, WIDE, generator=generator, dtype=torch.float64)
    size = FEATURES if cause else 1  # features of a group
    exact = DecorrelatedBatchNorm(FEATURES, groups=FEATURES // size, eps=EPS, affine=False)(x)
    iterated = IterativeNorm(FEATURES, groups=FEATURES // size, eps=EPS, affine=False, steps=STEPS)(x)
    usual = IterativeNorm(WIDE, groups=1 if cause else WIDE, eps=EPS, affine=False, steps=USUAL)(plain)
    single = DecorrelatedBatchNorm(FEATURES, groups=FEATURES, eps=EPS, affine=False)(x)
    start = torch.randn(FEATURES, generator=generator, dtype=torch.float64)
    found = [_train(setting, groups) for groups in (setting.width, 1 if cause else setting.width)]
    return Measured(
        covariance(exact),
        covariance(iterated),
        eigenvalues(covariance(x)),
        eigenvalues(covariance(plain)),
        eigenvalues(covariance(usual)),
        eigenvalues(covariance(single)),
        (descent_steps(covariance(single), start), descent_steps(covariance(exact), start)),
        np.stack([losses for losses, _ in found]),
        np.stack([reached for _, reached in found]),
        (_noise(setting, 1, generator), _noise(setting, setting.width if cause else 1, generator)),
        setting,
    )


def correlated(samples: int, generator: torch.Generator) -> Tensor:
    """Gaussian samples with axes in random directions."""
    turn = torch.linalg.qr(torch.randn(FEATURES, FEATURES, generator=generator, dtype=torch.float64)).Q
    scales = torch.logspace(0, -0.5 * np.log10(SPREAD), FEATURES, dtype=torch.float64)
    return torch.randn(samples, FEATURES, generator=generator, dtype=torch.float64) * scales @ turn.T


def covariance(x: Tensor) -> Array:
    """Of the features of a batch, divided by the number of samples."""
    centred = x - x.mean(0)
    return (centred.T @ centred / len(x)).numpy()


def eigenvalues(matrix: Array) -> Array:
    """Of a symmetric matrix, ascending."""
    found: Array = np.linalg.eigvalsh(matrix).astype(np.float64)
    return found


def descent_steps(hessian: Array, start: Tensor) -> int:
    """Steps of gradient descent at its best constant rate until the squared error is GOAL of that at the start."""
    values = eigenvalues(hessian)
    rate, error, steps = quadratic_rate("gd", values[-1], values[0]).lr, start.numpy(), 0
    goal = GOAL * error @ error
    while error @ error > goal:
        error, steps = error - rate * hessian @ error, steps + 1
    return steps


def _train(setting: Setting, groups: int) -> tuple[Array, Array]:
    """Mean loss of each step and every net's steps to the target, at the rate where these are fewest on the mean."""
    pictures = labelled_pictures(setting.data, setting.pictures, 10, setting.seed).flat
    torch.manual_seed(setting.seed)  # inside the lab's own process: the nets' starts
    nets = [_net(pictures.X.shape[1], setting.width, groups) for _ in range(setting.nets)]
    together = ManyNets(nets * len(RATES))
    rates = torch.tensor(RATES).repeat_interleave(setting.nets)
    generator = torch.Generator().manual_seed(setting.seed)
    options: dict[str, Any] = {"steps": setting.steps, "batch": setting.batch, "generator": generator}
    losses = together.descend(pictures.X, pictures.y, rates=rates, **options)
    reached = steps_to(losses, setting.target).reshape(len(RATES), setting.nets)
    best = int(reached.mean(1).argmin())
    return losses.unflatten(1, (len(RATES), -1))[:, best].mean(1).numpy(), reached[best]


def _net(features: int, width: int, groups: int) -> nn.Module:
    layers: list[nn.Module] = []
    for inputs in (features, width):
        layer = nn.Linear(inputs, width, bias=False)
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        layers += [layer, DecorrelatedBatchNorm(width, groups=groups), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(width, 10))


def steps_to(losses: Tensor, target: float) -> Array:
    """First step at which the mean over 5 losses is below the target; all steps where it never is. Shape (nets,)."""
    below = losses.nan_to_num(nan=torch.inf).unfold(0, 5, 1).mean(2) < target
    first = torch.where(below.any(0), below.float().argmax(0) + 5, len(losses))
    return first.double().numpy()


def _noise(setting: Setting, size: int, generator: torch.Generator) -> float:
    """E(x̂ − x)² a feature, of standard normal x."""
    errors = []
    for _ in range(40):
        x = torch.randn(setting.batch, setting.width, generator=generator, dtype=torch.float64)
        layer = DecorrelatedBatchNorm(setting.width, groups=setting.width // size, eps=EPS, affine=False)
        errors.append(float((layer(x) - x).square().mean()))
    return float(np.mean(errors))


def off_identity(matrix: Array) -> float:
    """Largest entry of |matrix − I|."""
    return float(np.abs(matrix - np.eye(len(matrix))).max())


def check(measured: Measured) -> list[Check]:
    return [*_claims(measured), *_derived(measured)]


def _claims(m: Measured) -> list[Check]:
    bound = "the bound of the claim"
    saved, error = mean_and_error(m.reached[0] - m.reached[1])
    return [
        Check("decorrelated: |covariance − I|", off_identity(m.exact), "at_most", 0.0, 1e-3, "claim", bound),
        Check(f"iterated, T = {STEPS}: same", off_identity(m.iterated), "at_most", 0.0, 1e-3, "claim", bound),
        Check(
            "steps that decorrelation saves behind correlated features",
            m.linear[0] - m.linear[1],
            "at_least",
            1.0,
            0.0,
            "claim",
            "exact: one step at least",
        ),
        Check(
            "steps that decorrelation saves in the net on pictures",
            saved,
            "at_least",
            1.0,
            0.0,
            "claim",
            "one step at least; each at its best rate of one grid",
            error=error,
        ),
    ]


def _derived(m: Measured) -> list[Check]:
    s = m.setting
    condition = quadratic_rate("gd", m.correlations[-1], m.correlations[0])
    slow = condition.steps(GOAL**0.5)  # of an error along the slowest directions
    rounding = "absolute: rounding in float64, times κ = 100, and ε"
    large = "relative: the next order, width/batch, of the leading one"
    return [
        Check(
            "decorrelated features: steps of one layer",
            m.linear[1],
            "equals",
            1,
            0.0,
            "theory",
            "κ = 1: exact",
        ),
        Check(
            "batch normalization: steps of one layer",
            m.linear[0],
            "at_most",
            slow,
            0.0,
            "theory",
            "exact: a bound for every start, about (κ/2) ln(1/ε)",
        ),
        Check(
            f"iterated, T = {STEPS}: variances along the axes",
            eigenvalues(m.iterated),
            "equals",
            np.sort(newton_schulz_eigenvalues(m.before, STEPS)),
            1e-9,
            "theory",
            rounding,
            absolute=True,
        ),
        Check(
            f"iterated, T = {USUAL}, {WIDE} features: variances along the axes",
            m.short,
            "equals",
            np.sort(newton_schulz_eigenvalues(m.wide, USUAL)),
            1e-9,
            "theory",
            rounding,
            absolute=True,
        ),
        Check(
            "batch normalization: noise of a batch",
            m.noise[0],
            "equals",
            batch_noise(s.batch),
            4 * (2 / (40 * s.width)) ** 0.5,
            "theory",
            "four standard errors, √(2/(batches · width))",
        ),
        Check(
            "decorrelated: noise of a batch",
            m.noise[1],
            "equals",
            (s.width + 5) / (4 * s.batch),
            s.width / s.batch,
            "theory",
            large,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    steps = np.arange(1, with_cause.losses.shape[1] + 1)
    axes.axhline(with_cause.setting.target, label="target")
    for losses, mark, label in (
        (with_cause.losses[0], "o", "batch normalization"),
        (with_cause.losses[1], "^", "decorrelated"),
        (control.losses[1], "x", "control: groups of one feature"),
    ):
        axes.plot(steps[::4], losses[::4], mark, ms=4, label=label)
    axes.set(xlabel="steps (SGD, each at its best rate)", ylabel="training loss", yscale="log")
