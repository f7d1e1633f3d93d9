"""S06: a ReLU net of thirty layers trains from Kaiming initialization and not from Xavier's.

Xavier's variance 2/(n + n') is half of Kaiming's 2/n at equal widths. ReLU is homogeneous, so that the same random
numbers give the same net but for a factor √½ a layer: 2^−15 on the signal after thirty layers, and as much on the
gradient on its way down. The outputs are then almost equal for all inputs, and no rate of plain descent helps: it is
too small at first, or too large as soon as the weights have grown. Five layers lose only 2^−2.5, and both train.

Adam, biases or batch normalization would hide the effect: plain descent, no biases, one rate for each initialization,
the one with the best training accuracy on the same grid.

Decks: K
Control: five layers in place of thirty.
Source: He et al. 2015, §2.2 and Fig. 3, arXiv:1502.01852.
"""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.theory.weight_variances import weight_variance

FORMULA = r"""
\|h_L\|_{\mathrm{Xavier}} = \|h_L\|_{\mathrm{Kaiming}} \prod_{l=1}^{L} \sqrt{\frac{n_{l-1}}{n_{l-1} + n_l}}
\prod \approx 2^{-L/2} = 2^{-15} = 3.1 \cdot 10^{-5}
"""
RULES = ("kaiming", "xavier")
RATES = (0.01, 0.1, 1.0, 10.0)
CLASSES = 10
EVERY = 20  # steps of a point of the loss curve


@dataclass(frozen=True)
class Setting:
    data: str
    samples: int
    tests: int
    width: int
    steps: int
    nets: int  # for each rule and rate
    shrink: int = 1
    depth: int = 30  # ReLU layers; a linear one follows
    shallow: int = 5  # of the control
    batch: int = 32
    seed: int = 0


QUICK = Setting(data="mnist", samples=4000, tests=1000, width=64, steps=600, nets=4, shrink=2)
FULL = Setting(data="cifar10", samples=20000, tests=5000, width=256, steps=10000, nets=5, batch=64)


@dataclass(frozen=True)
class Measured:
    """What one run gives; the first axis is Kaiming, Xavier, each at its best rate."""

    accuracy: Array  # on test pictures, shape (2, nets)
    losses: Array  # mean over the nets and EVERY steps, shape (2, steps / EVERY)
    rates: tuple[float, ...]
    forward: float  # norm of h_L from Xavier over Kaiming before training
    backward: float  # the same of ∂L/∂h_1, for the same ∂L/∂(outputs)
    widths: tuple[int, ...]


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.samples, setting.tests, setting.seed, shrink=setting.shrink).flat
    generator = torch.Generator().manual_seed(setting.seed)
    hidden = [setting.width] * (setting.depth if cause else setting.shallow)
    widths = (pictures.X.shape[1], *hidden, CLASSES)
    weights = _weights(widths, setting.nets, generator)
    forward, backward = _ratios(weights, pictures.X[: setting.batch])
    losses = _train(weights, pictures.X, pictures.y, setting, generator)
    train = _accuracy(weights, pictures.X, pictures.y).mean(2)
    best, rules = train.argmax(1), np.arange(len(RULES))
    blocks = losses[: setting.steps // EVERY * EVERY].reshape(-1, EVERY, *losses.shape[1:]).mean((1, 4))
    return Measured(
        _accuracy(weights, pictures.X_test, pictures.y_test)[rules, best],
        blocks[:, rules, best].T,
        tuple(RATES[place] for place in best),
        forward,
        backward,
        widths,
    )


def deviations(widths: tuple[int, ...]) -> Array:
    """√Var W of each layer, shape (2, layers)."""
    n = np.array(widths)
    return np.sqrt([weight_variance(rule, n[:-1], n[1:]) for rule in RULES])


def _weights(widths: tuple[int, ...], nets: int, generator: torch.Generator) -> list[Tensor]:
    """Of every layer for all rules, rates and nets, shape (rules · rates · nets, inputs, outputs).

    The nets of all rules and rates have the same random numbers.
    """
    weights = []
    for (fan_in, fan_out), scales in zip(itertools.pairwise(widths), deviations(widths).T, strict=True):
        drawn = torch.randn(nets, fan_in, fan_out, generator=generator)
        each = torch.stack([float(scale) * drawn for scale in scales])
        alike = each[:, None].expand(-1, len(RATES), -1, -1, -1)
        weights.append(alike.reshape(-1, fan_in, fan_out).clone().requires_grad_())
    return weights


def _layers(weights: list[Tensor], x: Tensor) -> list[Tensor]:
    """h_1 … h_L and the outputs, each of shape (all nets, batch, width)."""
    layers = [x.expand(len(weights[0]), *x.shape)]
    for weight in weights[:-1]:
        layers.append(torch.relu(torch.bmm(layers[-1], weight)))
    return [*layers[1:], torch.bmm(layers[-1], weights[-1])]


def _ratios(weights: list[Tensor], x: Tensor) -> tuple[float, float]:
    """Xavier over Kaiming: norms of h_L, and of ∂L/∂h_1 for a ∂L/∂(outputs) of ones; the median net's."""
    layers = _layers(weights, x)
    (gradient,) = torch.autograd.grad(layers[-1].sum(), layers[0])
    found = []
    for values in (layers[-2].detach(), gradient):
        kaiming, xavier = values.double().norm(dim=(1, 2)).reshape(len(RULES), -1)
        found.append(float((xavier / kaiming).median()))
    return found[0], found[1]


def _train(weights: list[Tensor], X: Tensor, y: Tensor, setting: Setting, generator: torch.Generator) -> Array:
    """Plain descent of all nets in place on the same batches; their losses, shape (steps, rules, rates, nets)."""
    rates = torch.tensor(RATES)[:, None].expand(len(RULES), -1, setting.nets).reshape(-1, 1, 1)
    losses = torch.empty(setting.steps, len(rates))
    for step in range(setting.steps):
        rows = torch.randint(len(X), (setting.batch,), generator=generator)
        log_shares = torch.log_softmax(_layers(weights, X[rows])[-1], 2)
        values = -log_shares[:, torch.arange(setting.batch), y[rows]].mean(1)
        gradients = torch.autograd.grad(values.sum(), weights)
        with torch.no_grad():
            for weight, gradient in zip(weights, gradients, strict=True):
                weight -= rates * gradient
        losses[step] = values.detach()
    return losses.double().numpy().reshape(setting.steps, len(RULES), len(RATES), setting.nets)


@torch.no_grad()
def _accuracy(weights: list[Tensor], X: Tensor, y: Tensor) -> Array:
    """Shape (rules, rates, nets); nets whose outputs are not finite know nothing."""
    right = torch.zeros(len(weights[0]))
    for x, target in zip(X.split(500), y.split(500), strict=True):
        outputs = _layers(weights, x)[-1]
        right += ((outputs.argmax(2) == target) & outputs.isfinite().all(2)).sum(1)
    return (right / len(X)).double().numpy().reshape(len(RULES), len(RATES), -1)


def check(measured: Measured) -> list[Check]:
    (kaiming, xavier), (kaiming_error, xavier_error) = mean_and_error(measured.accuracy, 1)
    gap, error = mean_and_error(measured.accuracy[0] - measured.accuracy[1])
    factors = np.divide(*deviations(measured.widths)[::-1])
    rounding = "float32, thirty layers of rounding: the nets are the same but for the factor"
    return [
        Check("gap of the accuracies", gap, "at_least", 0.3, 0.0, "claim", "the bound of the claim", error=error),
        Check(
            "accuracy from Kaiming",
            kaiming,
            "at_least",
            0.4,
            0.0,
            "claim",
            "“trains” is 30 points above chance at least",
            error=kaiming_error,
        ),
        Check(
            "accuracy from Xavier",
            xavier,
            "at_most",
            0.2,
            0.0,
            "claim",
            "“does not train” is twice chance at most; one class for all pictures reaches about 0.12",
            error=xavier_error,
        ),
        Check(
            "norm of h_L, Xavier over Kaiming",
            measured.forward,
            "equals",
            factors[:-1].prod(),
            1e-4,
            "theory",
            rounding,
        ),
        Check("∂L/∂h_1, the same", measured.backward, "equals", factors[1:].prod(), 1e-4, "theory", rounding),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    axes.axhline(math.log(CLASSES), label="theory: ln 10, a guess")
    for measured, marks, name in ((with_cause, "o^", "30 layers"), (control, "sD", "control, 5 layers")):
        for rule, losses, rate, mark in zip(RULES, measured.losses, measured.rates, marks, strict=True):
            steps = EVERY * (np.arange(len(losses)) + 0.5)
            every = max(1, len(losses) // 30)
            label = f"{rule.capitalize()}, {name}, rate {rate:g}"
            axes.plot(steps[::every], losses[::every], mark, label=label)
    axes.set(xlabel="step", ylabel="training loss, mean over nets", ylim=(0, 3))
