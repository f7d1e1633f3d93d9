"""N11: with batch normalization a learning rate that grows exponentially does what weight decay does.

A weight w that feeds a normalization is scale-invariant, L(cw) = L(w), ∇L(cw) = ∇L(w)/c. Hence SGD with momentum γ,
weight decay λ and the constant rate η goes through the same functions as SGD without decay at the rates

    η̃_t = η α^(−2t−1),  w̃_t = α^(−t) w_t,  α the larger root of α² − (1 + γ − λη) α + γ = 0  (γ = 0: α = 1 − λη),

if its momentum buffer starts at −(1 − α) w_0/(ηα) and not at 0. Every trained weight must be scale-invariant; here all
layers, the last one too, are followed by a batch normalization without γ and β. With momentum α = 1 − λη is wrong.

Decks: K
Control: the same net without batch normalization.
Source: Li & Arora 2020, Theorem 2.12, arXiv:1910.07454.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import Pictures, labelled_pictures
from trainwell.optim.scheduling.growing_rate import without_decay_
from trainwell.optim.scheduling.schedules import schedule
from trainwell.theory.batch_normalization import exponential_rate
from trainwell.theory.gaussian import Array

FORMULA = r"""
\tilde\eta_t = \eta\,\alpha^{-2t-1}, \quad \tilde w_t = \alpha^{-t}\,w_t, \quad \alpha^2 - (1+\gamma-\lambda\eta)\,\alpha + \gamma = 0
"""  # noqa: E501 - a line of mathtext cannot be broken
RATE = 0.1
RUNS = ((0.0, 0.05), (0.9, 0.005))  # momentum γ and weight decay λ, chosen to shrink weights alike
EPS = 1e-12  # of the normalizations: 1e-5 would break the invariance at 1e-5
ARMS = ("decay", "growing", "buffer from 0", "α = 1 − λη")


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    widths: tuple[int, ...]
    steps: int
    convolutional: bool = False
    batch: int = 64
    probes: int = 100  # pictures on which functions are compared, twenty times in a run
    seed: int = 0


QUICK = Setting("digits", 1000, (48, 48), steps=240)
FULL = Setting("cifar10", 40_000, (32, 32, 64, 64, 128), steps=2000, convolutional=True, batch=128)


@dataclass(frozen=True)
class Run:
    """One training: outputs on the probes at every mark (marks, probes, 10), losses, rates, last weights, accuracy."""

    outputs: Tensor
    losses: Array
    rates: Array
    weights: Tensor
    accuracy: float


@dataclass(frozen=True)
class Measured:
    """What one run gives, for each momentum; distances are ‖a − b‖/(‖a‖ + ‖b‖), 1 where a run diverged."""

    functions: Array  # largest distance from the run with decay, shape (momenta, arms − 1)
    weights: Array  # of α^t w̃_t from w_t after the last step, shape (momenta,)
    growth: Array  # last rate over the first, shape (momenta,)
    rates: Array  # largest relative error of the rates used against the prediction, shape (momenta,)
    accuracy: Array  # on the training pictures, of the growing rate, shape (momenta,)
    curves: Array  # losses of decay and growing, γ = 0.9; shape (2, steps)


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.pictures, 10, setting.seed)
    found = []
    for momentum, decay in RUNS:
        runs = [_train(pictures, setting, cause, momentum, decay, arm) for arm in ARMS]
        exact, growing = runs[0], runs[1]
        theory = exponential_rate(RATE, decay, momentum)
        predicted = RATE * theory.growth ** (np.arange(setting.steps) + 0.5)
        found.append(
            (
                [max(map(_distance, exact.outputs, run.outputs)) for run in runs[1:]],
                _distance(exact.weights, theory.alpha**setting.steps * growing.weights),
                growing.rates[-1] / growing.rates[0],
                np.abs(growing.rates / predicted - 1).max(),
                growing.accuracy,
            )
        )
    functions, weights, growth, errors, accuracy = (np.array(column) for column in zip(*found, strict=True))
    return Measured(functions, weights, growth, errors, accuracy, np.stack([exact.losses, growing.losses]))


def _distance(one: Tensor, other: Tensor) -> float:
    apart = float((one - other).norm() / (one.norm() + other.norm()))
    return apart if np.isfinite(apart) else 1.0


def _net(pictures: Pictures, setting: Setting, normalized: bool) -> nn.Sequential:
    """Linear or convolutional layers without biases, every one followed by a normalization if ``normalized``."""
    layers = list[nn.Module]()
    widths = (pictures.X[0].numel(), *setting.widths, 10)
    if setting.convolutional:
        for place, (before, after) in enumerate(pairwise((pictures.X.shape[1], *setting.widths))):
            layers.append(nn.Conv2d(before, after, 3, stride=1 + place % 2, padding=1, bias=False))
            layers += [nn.BatchNorm2d(after, eps=EPS, affine=False)] * normalized + [nn.ReLU()]
        layers += [nn.AdaptiveAvgPool2d(1)]
        widths = (setting.widths[-1], 10)
    layers.append(nn.Flatten())
    for before, after in pairwise(widths):
        layers.append(nn.Linear(before, after, bias=False))
        layers += [nn.BatchNorm1d(after, eps=EPS, affine=False)] * normalized + [nn.ReLU()]
    net = nn.Sequential(*layers[:-1]).double()
    generator = torch.Generator().manual_seed(setting.seed)
    for weight in net.parameters():
        nn.init.kaiming_normal_(weight, generator=generator)
    return net


def _train(pictures: Pictures, setting: Setting, normalized: bool, momentum: float, decay: float, arm: str) -> Run:
    net = _net(pictures, setting, normalized)
    optimizer = torch.optim.SGD(net.parameters(), lr=RATE, momentum=momentum, weight_decay=decay)
    if arm in ("growing", "α = 1 − λη"):
        without_decay_(optimizer)
    optimizer.param_groups[0]["weight_decay"] = decay if arm == "decay" else 0.0
    growth = (1 - RATE * decay) ** -2 if arm == "α = 1 − λη" else None
    options = {"growth": growth} if growth else {"weight_decay": decay}
    name = "constant" if arm == "decay" else "growing"
    rates = schedule(optimizer, name, setting.steps, warmup=0.0, options={} if arm == "decay" else options)
    generator = torch.Generator().manual_seed(setting.seed)
    probes, outputs, losses, used = pictures.X[: setting.probes].double(), [], [], []
    for step in range(setting.steps):
        rows = torch.randint(len(pictures.X), (setting.batch,), generator=generator)
        optimizer.zero_grad()
        loss = cross_entropy(net(pictures.X[rows].double()), pictures.y[rows])
        loss.backward()
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        rates.step()
        losses.append(float(loss.detach()))
        if (step + 1) % max(1, setting.steps // 20) == 0:
            with torch.no_grad():
                outputs.append(net(probes))  # by the statistics of the probes: running ones would add nothing
    weights = torch.cat([weight.detach().flatten() for weight in net.parameters()])
    return Run(torch.stack(outputs), np.array(losses), np.array(used), weights, _accuracy(net, pictures))


@torch.no_grad()
def _accuracy(net: nn.Module, pictures: Pictures) -> float:
    """By the statistics of a thousand pictures at a time."""
    parts = zip(pictures.X.split(1000), pictures.y.split(1000), strict=True)
    return sum(int((net(X.double()).argmax(1) == y).sum()) for X, y in parts) / len(pictures.X)


def check(measured: Measured) -> list[Check]:
    small = "the bound of the claim; rounding, 1e-16, grows along a trajectory"
    thousandth = "a thousand times the bound of the claim, so that the check can tell"
    return [
        Check("functions along the way", measured.functions[:, 0], "at_most", 0.0, 1e-6, "claim", small),
        Check("accuracy at the growing rate", measured.accuracy, "at_least", 0.5, 0.0, "claim", "chance is 0.1"),
        Check("α^t w̃_t − w_t after the last step", measured.weights, "at_most", 0.0, 1e-6, "theory", small),
        Check("rates − prediction, relative", measured.rates, "at_most", 0.0, 1e-9, "theory", "rounding in powers"),
        Check("functions, buffer from 0", measured.functions[1, 1], "at_least", 1e-3, 0.0, "theory", thousandth),
        Check("functions, α = 1 − λη", measured.functions[1, 2], "at_least", 1e-3, 0.0, "theory", thousandth),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    steps = np.arange(1, with_cause.curves.shape[1] + 1)
    shown = slice(None, None, max(1, len(steps) // 40))
    growth = with_cause.growth[1]
    axes.plot(steps, with_cause.curves[0], label="normalized: constant rate, weight decay")
    axes.plot(steps[shown], with_cause.curves[1][shown], "o", label=f"normalized: rate grows {growth:.0f} times")
    axes.plot(steps, control.curves[0], label="control: constant rate, weight decay")
    axes.plot(steps[shown], control.curves[1][shown], "x", label="control: growing rate")
    axes.set(xlabel="step", ylabel="loss of the batch", yscale="log")
    axes.set_ylim(1e-3, 20)
