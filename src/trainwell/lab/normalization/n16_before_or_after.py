"""N16: batch normalization may stand before the activation or after it: both train, and which is better is open.

Before: W₂ φ(N(W₁ x)), as first published. After: W₂ N(φ(W₁ x)). N is batch normalization. Two differences are exact. A
bias of W₁ does nothing before, since N subtracts it again: its gradient is 0. And the input of W₂ has mean 0 in each
unit after, but E φ(z) before, z ~ N(0, 1): ½ for the sigmoid, 1/√(2π) for ReLU. Nothing derives a winner, and none is
found: at their best rates the two are within a few points (after is ahead by about one with the sigmoid, they are level
with ReLU), at low rates after leads by far, at high rates before. Who compares them at one rate can show either. (The
best rate is that of the pictures that are then scored, in all arms alike.)

Decks: M T
Control: norms that do not normalize, in both places: mean and variance held at 0 and 1. The sigmoid net then does not
train.
Source: Ioffe & Szegedy 2015, §3.2, arXiv:1502.03167; Chen et al. 2019, arXiv:1905.05928.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.normalization.normed_nets import (
    Array,
    Norm,
    ScaleShift,
    Training,
    exactly_normed,
    hidden_maps,
    learning_curves,
    normed_net,
)
from trainwell.theory.activation_moments import as_nonlinearity

FORMULA = r"""
\mathrm{before:}\ \ W_2\, \varphi(\mathrm{BN}(W_1 x + b_1)), \quad \partial L / \partial b_1 = 0
\mathrm{after:}\ \ W_2\, \mathrm{BN}(\varphi(W_1 x + b_1)), \quad E\, \mathrm{BN}(\varphi) = 0
"""
ACTIVATIONS = ("sigmoid", "relu")
PLACES = ((0, "before"), (1, "after"))
SAMPLES = 4096  # of the inputs of the exact part
RATES = 10.0 ** np.arange(-2, 1.1, 0.5)


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    test: int
    width: int
    depth: int
    steps: int
    batch: int
    runs: int
    target: float = 0.9  # share of test pictures
    seed: int = 0


QUICK = Setting("digits", 1000, 300, width=32, depth=4, steps=150, batch=64, runs=6)
FULL = Setting("cifar10", 45000, 10000, width=128, depth=4, steps=4000, batch=128, runs=4, target=0.45)


@dataclass(frozen=True)
class Measured:
    """What one run gives; the first axis is the activation, the second before and after."""

    accuracy: Array  # shape (2, 2, runs, rates)
    bias: Array  # ‖∂L/∂b₁‖ over ‖∂L/∂W₁‖
    means: Array  # of the second layer's input: mean over units and samples
    samples: int
    target: float


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat
    training = Training(setting.steps, setting.batch, setting.steps)
    accuracy = np.empty((len(ACTIVATIONS), len(PLACES), setting.runs, len(RATES)))
    exact = np.empty((2, len(ACTIVATIONS), len(PLACES)))
    for i, activation in enumerate(ACTIVATIONS):
        for j, _ in PLACES:
            nets = _nets(setting, pictures.X.shape[1], activation, bool(j), "batch" if cause else "held")
            curves = learning_curves(nets, np.tile(RATES, setting.runs), pictures, training, setting.seed + j)
            accuracy[i, j] = curves[:, -1].reshape(setting.runs, len(RATES))
            exact[:, i, j] = _one_layer(activation, bool(j), setting.seed)
    bias, means = exact
    return Measured(accuracy, bias, means, SAMPLES, setting.target)


def _nets(setting: Setting, features: int, activation: str, after: bool, norm: Norm) -> list[nn.Sequential]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2 * setting.seed + after)
        made = [
            normed_net(features, setting.width, setting.depth, norm, activation=activation)
            for _ in range(setting.runs * len(RATES))
        ]
    return [norm_after(net) for net in made] if after else made


def norm_after(net: nn.Sequential) -> nn.Sequential:
    """The same layers with every norm after its activation."""
    layers = list(net)
    for place in [i for i, layer in enumerate(layers) if isinstance(layer, nn.BatchNorm1d | ScaleShift)]:
        layers[place], layers[place + 1] = layers[place + 1], layers[place]
    return nn.Sequential(*layers)


def _one_layer(activation: str, after: bool, seed: int) -> tuple[float, float]:
    """‖∂L/∂b₁‖/‖∂L/∂W₁‖ and the mean input of W₂, of a net with one hidden layer on Gaussian inputs."""
    net = exactly_normed(32, 32, 1, seed, activation=activation)
    net = norm_after(net) if after else net
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(SAMPLES, 32, generator=generator, dtype=torch.float64)
    cross_entropy(net(X), torch.randint(10, (SAMPLES,), generator=generator)).backward()
    first = hidden_maps(net)[0]
    assert first.bias.grad is not None and first.weight.grad is not None
    return float(first.bias.grad.norm() / first.weight.grad.norm()), float(net[:-1](X).detach().mean())


def check(measured: Measured) -> list[Check]:
    best, errors = mean_and_error(measured.accuracy.max(3), 2)  # the same grid for both
    gap, gap_error = mean_and_error(measured.accuracy.max(3)[:, 0] - measured.accuracy.max(3)[:, 1], 1)
    lead, lead_error = mean_and_error(measured.accuracy[:, 0] - measured.accuracy[:, 1], 1)
    laws = [as_nonlinearity(name) for name in ACTIVATIONS]
    means = np.array([float(law.mean(1.0)) for law in laws])
    spread = max(float(law.second_moment(1.0) - law.mean(1.0) ** 2) for law in laws) ** 0.5
    rounding = "absolute: algebra, rounding of float64"
    return [
        Check(
            "accuracy at the best rate, every net",
            best,
            "at_least",
            measured.target,
            0.0,
            "claim",
            "the target",
            error=errors,
        ),
        Check(
            "before less after, best rates",
            gap,
            "equals",
            0.0,
            0.05,
            "claim",
            "absolute: five points, of the forty that the rate makes",
            absolute=True,
            error=gap_error,
        ),
        Check(
            f"before less after, rate {RATES[0]:g}",
            lead[:, 0],
            "at_most",
            -0.02,
            0.0,
            "claim",
            "absolute: two points; here after wins",
            error=lead_error[:, 0],
        ),
        Check(
            f"sigmoid: before less after, rate {RATES[-1]:g}",
            lead[0, -1],
            "at_least",
            0.02,
            0.0,
            "claim",
            "absolute: two points; here before wins",
            error=lead_error[0, -1],
        ),
        Check("before: ‖∂L/∂b₁‖ over ‖∂L/∂W₁‖", measured.bias[:, 0], "equals", 0.0, 1e-12, "theory", rounding),
        Check(
            "before: mean input of W₂",
            measured.means[:, 0],
            "equals",
            means,
            4 * spread / measured.samples**0.5,
            "theory",
            "absolute: four standard errors, at most std φ(z)/√samples each",
            absolute=True,
        ),
        Check("after: mean input of W₂", measured.means[:, 1], "equals", 0.0, 1e-12, "theory", rounding),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    axes.axhline(with_cause.target, label="target")
    arms = [
        (f"{name}: {place}", with_cause.accuracy[i, j]) for i, name in enumerate(ACTIVATIONS) for j, place in PLACES
    ]
    arms += [(f"control, no normalizing, sigmoid: {place}", control.accuracy[0, j]) for j, place in PLACES]
    for (label, accuracy), mark in zip(arms, "osv^Dx", strict=True):
        axes.errorbar(RATES, *mean_and_error(accuracy), fmt=mark, label=label)
    axes.set(xlabel="learning rate", ylabel="right test pictures at the end, share", xscale="log")
