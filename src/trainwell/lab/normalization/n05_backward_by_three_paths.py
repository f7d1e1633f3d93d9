"""N05: the backward pass of batch normalization is the sum of three paths: by the value, by the mean, by the variance.

Batch normalization of the m values of a channel: μ and σ² are the batch's mean and variance, s = √(σ² + ε),
x̂ = (x − μ)/s, y = γ x̂ + β. With u = γ ∂L/∂y, the loss depends on x_i directly (u_i/s), through σ² and through μ:

    ∂L/∂σ² = −½ s⁻³ Σ u_j (x_j − μ),    ∂L/∂μ = −(1/s) Σ u_j,    sum = (1/s) [u − mean(u) − x̂ mean(u x̂)].

One lecture (K) prints ∂L/∂σ² without the factor (x_j − μ). That is a misprint: x and 2x have the same y, so that the
gradient has no part along x̂ (but ε's), and the printed one has.

Decks: K T R
Control: evaluation mode, where μ and σ² are constants of the same value: only the first path is left.
Source: Ioffe & Szegedy 2015, §3, arXiv:1502.03167.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import batch_norm

from trainwell.lab.experiment import Check
from trainwell.nn.normalization.batchnorm_backward import BatchNormGradients, batchnorm_gradients
from trainwell.theory.gaussian import Array

FORMULA = r"""
\frac{\partial L}{\partial x_i} = \frac{u_i}{s} + \frac{\partial L}{\partial \sigma^2}\,\frac{2(x_i-\mu)}{m} + \frac{\partial L}{\partial \mu}\,\frac{1}{m} = \frac{1}{s}\left[u_i - \overline{u} - \hat{x}_i\,\overline{u\hat{x}}\right]
\frac{\partial L}{\partial \sigma^2} = -\frac{1}{2 s^3}\sum_j u_j (x_j - \mu), \quad \frac{\partial L}{\partial \mu} = -\frac{1}{s}\sum_j u_j
"""  # noqa: E501 - a line of mathtext cannot be broken
EPS = 1e-5
STEP = 6e-6  # of the differences: the cube root of float64's 2e-16, where truncation and rounding are alike


@dataclass(frozen=True)
class Setting:
    batch: int
    channels: int
    side: int  # of the pictures
    directions: int = 20  # of the finite differences
    seed: int = 0


QUICK = Setting(batch=16, channels=8, side=4)
FULL = Setting(batch=128, channels=64, side=32)


@dataclass(frozen=True)
class Measured:
    """What one run gives: errors relative to autograd's gradient, for vectors, sequences and pictures."""

    paths: Array  # sum of the three paths, shape (3,)
    closed: Array  # the closed formula
    differences: Array  # the three paths along random directions against differences of the loss
    parameters: Array  # ∂L/∂γ and ∂L/∂β, shape (6,)
    printed: Array  # with ∂L/∂σ² as K prints it
    along: Array  # |x̂ · gradient| / (‖x̂‖ ‖gradient‖) of the three paths, shape (3,)
    values: Array  # m of the three
    lines: Array  # one channel of vectors, sorted by x: x, three paths, printed sum, autograd; shape (6, batch)


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    shapes = [(setting.batch, setting.channels, *[setting.side] * sides) for sides in range(3)]
    found = [_compared(shape, setting.directions, cause, generator) for shape in shapes]
    columns = [np.array(column) for column in zip(*(errors for errors, _ in found), strict=True)]
    paths, closed, differences, weight, bias, printed, along = columns
    m = np.array([setting.batch * setting.side**sides for sides in range(3)], float)
    return Measured(paths, closed, differences, np.concatenate([weight, bias]), printed, along, m, found[0][1])


def _compared(
    shape: tuple[int, ...], directions: int, cause: bool, generator: torch.Generator
) -> tuple[list[float], Array]:
    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator, dtype=torch.float64)

    x = (3 + 2 * normal(*shape)).requires_grad_()
    weight, bias = (1 + normal(shape[1])).requires_grad_(), normal(shape[1]).requires_grad_()
    probe, axes = normal(*shape), [0, *range(2, len(shape))]
    mean, variance = x.detach().mean(axes), x.detach().var(axes, correction=0)

    def loss(values: Tensor) -> tuple[Tensor, Tensor]:
        running = (None, None) if cause else (mean, variance)
        y = batch_norm(values, running[0], running[1], weight, bias, training=cause, eps=EPS)
        return (probe * torch.tanh(y)).sum(), y

    value, y = loss(x)
    exact, exact_weight, exact_bias, grad_output = torch.autograd.grad(value, (x, weight, bias, y))
    with torch.no_grad():
        found = batchnorm_gradients(x, weight, grad_output, EPS)
        form = [1, -1, *[1] * (len(shape) - 2)]
        centred, s = x - mean.view(form), (variance.view(form) + EPS).sqrt()
        u = grad_output * weight.view(form)
        closed = (u - u.mean(axes, keepdim=True) - centred / s * (u * centred / s).mean(axes, keepdim=True)) / s
        by_variance = -0.5 * u.sum(axes, keepdim=True) / s**3  # K: without (x − μ)
        printed = found.direct + by_variance * 2 * centred * shape[1] / x.numel() + found.through_mean
        pairs = []
        for _ in range(directions):
            way = normal(*shape)
            ahead, behind = (loss(x + sign * STEP * way)[0] for sign in (1, -1))
            pairs.append(torch.stack([(found.input * way).sum(), (ahead - behind) / (2 * STEP)]))
        predicted, slopes = torch.stack(pairs, 1)
    errors = [
        _apart(found.input, exact),
        _apart(closed, exact),
        _apart(predicted, slopes),
        _apart(found.weight, exact_weight),
        _apart(found.bias, exact_bias),
        _apart(printed, exact),
        float((found.input * centred).sum().abs() / (found.input.norm() * centred.norm())),
    ]
    return errors, _lines(x, found, printed, exact)


def _apart(value: Tensor, reference: Tensor) -> float:
    return float((value - reference).norm() / reference.norm())


def _lines(x: Tensor, found: BatchNormGradients, printed: Tensor, exact: Tensor) -> Array:
    """The first channel and, of sequences and pictures, its first place."""
    parts = (x.detach(), found.direct, found.through_variance, found.through_mean.expand_as(x), printed, exact)
    first = torch.stack([part.reshape(len(x), x.shape[1], -1)[:, 0, 0] for part in parts])
    return first[:, first[0].argsort()].numpy()


def check(measured: Measured) -> list[Check]:
    why = "the bound of the claim; rounding in float64 is 1e-16 times the terms that cancel"
    differences = "step² and rounding/step, 4e-11 each, times third derivatives and a loss of up to 1000"
    return [
        Check("three paths − autograd, relative", measured.paths, "at_most", 0.0, 1e-10, "claim", why),
        Check("closed formula − autograd, relative", measured.closed, "at_most", 0.0, 1e-10, "claim", why),
        Check("three paths − differences", measured.differences, "at_most", 0.0, 1e-6, "claim", differences),
        Check("∂L/∂γ and ∂L/∂β − autograd, relative", measured.parameters, "at_most", 0.0, 1e-10, "theory", why),
        Check(
            "three paths: share along x̂",
            measured.along,
            "at_most",
            0.0,
            EPS,
            "theory",
            "the share is ε/(σ² + ε) of the direct path's, with σ about 2",
        ),
        Check(
            "lecture K's ∂L/∂σ²: error times √m",
            measured.printed * measured.values**0.5,
            "at_least",
            0.1,
            0.0,
            "theory",
            "of order 1 for independent u; a tenth is still far more than rounding",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    x, direct, variance, mean, printed, exact = with_cause.lines
    axes.plot(x, direct, label="path 1: directly")
    axes.plot(x, variance, label="path 2: through the variance")
    axes.plot(x, mean, label="path 3: through the mean")
    axes.plot(x, direct + variance + mean, label="sum of the three")
    axes.plot(x, exact, "o", label="autograd, batch statistics")
    axes.plot(control.lines[0], control.lines[5], "s", label="autograd, constants (control)", fillstyle="none")
    axes.plot(x, printed, "x", label="as lecture K prints it")
    axes.set(xlabel="x, before normalization", ylabel="∂L/∂x")
