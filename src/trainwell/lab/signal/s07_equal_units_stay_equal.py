"""S07: zero initialization never moves the hidden weights; constant initialization keeps the hidden units identical.

A net W₂ σ(W₁ x) with one hidden layer and squared error has, with the residual r = y − W₂ σ(W₁ x),

    ∂F/∂W₁ = −2 mean [W₂ᵀ r ⊙ σ'(W₁ x)] xᵀ,    ∂F/∂W₂ = −2 mean r σ(W₁ x)ᵀ

W₂ = 0 makes the first zero, as the lecture says. W₁ = 0 makes the second zero only if σ(0) = 0: nothing ever moves
under ReLU and tanh. The lecture's "no movement on W₁" is not so for the sigmoid, whose σ(0) = ½: W₂ moves in the first
step, and W₁ from the second on. What stays in every case is the symmetry: if all weights of a matrix are equal, all
hidden units compute the same and get the same gradient, so that the rows of W₁ stay equal and its rank stays 1.

Decks: K M
Control: random weights (Xavier).
Source: Goodfellow, Bengio & Courville 2016, "Deep Learning", §8.4.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from trainwell.init import constant_, xavier_
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array

FORMULA = r"""
\partial F/\partial W_1 = -2\, \mathrm{mean}\, [W_2^T r \odot \sigma'(W_1 x)]\, x^T = 0 \quad \mathrm{for}\ W_2 = 0
\partial F/\partial W_2 = -2\, \mathrm{mean}\, r\, \sigma(W_1 x)^T = 0 \quad \mathrm{for}\ W_1 = 0,\ \sigma(0) = 0
"""
ACTIVATIONS: tuple[type[nn.Module], ...] = (nn.ReLU, nn.Tanh, nn.Sigmoid)
NAMES = ("ReLU", "tanh", "sigmoid")
ROUNDING = 1e-12  # algebra in float64
FLOOR = 1e-17  # where the figure puts zeros


@dataclass(frozen=True)
class Setting:
    data: str
    samples: int
    units: int
    steps: int
    rate: float = 0.01
    constant: float = 0.02  # of every weight
    seed: int = 0


QUICK = Setting(data="digits", samples=500, units=16, steps=300)
FULL = Setting(data="mnist", samples=2000, units=128, steps=2000, rate=0.0005, constant=0.002)


@dataclass(frozen=True)
class Measured:
    """What one run gives; arrays have one row for each of ReLU, tanh, sigmoid."""

    gradient: Array  # largest |∂F/∂W₁| before the first step, weights zero
    moved: Array  # largest |W₁ − its start| after each step, weights zero, shape (3, steps)
    losses: Array  # F after training over F before, weights zero
    singular: Array  # singular values of W₁ over the largest after training from constant weights, shape (3, units)
    sigmoid_rank: float  # second over first singular value of W₁ in the sigmoid's net from zero
    second_step: float  # distance of that net's W₁ after two steps from the closed form, over the latter's norm
    setting: Setting


@dataclass(frozen=True)
class Trained:
    """A net's way."""

    gradient: float  # largest of W₁ before the first step
    moves: list[float]  # largest |W₁ − its start| after each step
    second: Tensor  # W₁ after two steps
    last: Tensor
    losses: list[float]


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.samples, 1, setting.seed).flat
    X, Y = pictures.X.double(), one_hot(pictures.y).double()
    zero, constant = (
        [_train(activation, value if cause else None, X, Y, setting) for activation in ACTIVATIONS]
        for value in (0.0, setting.constant)
    )
    sigmoid = zero[-1]
    row = _two_steps(X, Y, setting)
    return Measured(
        np.array([net.gradient for net in zero]),
        np.array([net.moves for net in zero]),
        np.array([net.losses[-1] / net.losses[0] for net in zero]),
        np.array([_singular(net.last) for net in constant]),
        float(_singular(sigmoid.last)[1]),
        float((sigmoid.second - row).norm() / row.expand_as(sigmoid.second).norm()),
        setting,
    )


def _train(activation: type[nn.Module], value: float | None, X: Tensor, Y: Tensor, setting: Setting) -> Trained:
    """Descend on all samples from this value of all weights, or from random ones if it is None."""
    first, second = (
        nn.Linear(fan_in, fan_out, bias=False, dtype=torch.float64)
        for fan_in, fan_out in ((X.shape[1], setting.units), (setting.units, Y.shape[1]))
    )
    model = nn.Sequential(first, activation(), second)
    generator = torch.Generator().manual_seed(setting.seed)
    for layer in (first, second):
        if value is None:
            xavier_(layer.weight, generator=generator)
        else:
            constant_(layer.weight, value)
    optimizer = torch.optim.SGD(model.parameters(), lr=setting.rate)
    start, second_place = first.weight.detach().clone(), torch.empty(0)
    moves, losses, gradient = list[float](), list[float](), float("nan")
    for step in range(setting.steps):
        optimizer.zero_grad()
        loss = (Y - model(X)).square().sum(1).mean()
        loss.backward()
        losses.append(float(loss.detach()))
        if step == 0 and first.weight.grad is not None:
            gradient = float(first.weight.grad.abs().max())
        optimizer.step()
        moves.append(float((first.weight.detach() - start).abs().max()))
        if step == 1:
            second_place = first.weight.detach().clone()
    return Trained(gradient, moves, second_place, first.weight.detach(), losses)


def _singular(weight: Tensor) -> Array:
    values = torch.linalg.svdvals(weight)
    return (values / values[0]).numpy()


def _two_steps(X: Tensor, Y: Tensor, setting: Setting) -> Tensor:
    """A row of W₁ after two steps from zero under the sigmoid: W₂ is η ȳ 1ᵀ after the first, σ = ½ and σ' = ¼."""
    mean, rate = Y.mean(0), setting.rate
    pull = (Y - rate * setting.units / 2 * mean) @ mean  # ȳᵀ r of each sample
    return rate**2 / 2 * (pull[:, None] * X).mean(0)


def check(measured: Measured) -> list[Check]:
    exact, rounding = "exact: products with zero", "rounding of float64 algebra"
    largest = measured.moved.max(1)
    claims = [
        Check("zero weights: first gradient of W₁", measured.gradient, "equals", 0.0, 0.0, "claim", exact),
        *(
            Check(f"zero weights, {name}: largest move of W₁", move, "equals", 0.0, 0.0, "claim", exact)
            for name, move in zip(NAMES, largest, strict=True)
        ),
        Check(
            "constant weights: second singular value of W₁ over the first",
            measured.singular[:, 1],
            "at_most",
            0.0,
            ROUNDING,
            "claim",
            rounding,
        ),
    ]
    theory = [
        Check("ReLU, tanh: loss after training over before", measured.losses[:2], "equals", 1.0, 0.0, "theory", exact),
        Check("sigmoid: move of W₁ in the first step", measured.moved[2, 0], "equals", 0.0, 0.0, "theory", exact),
        Check(
            "sigmoid: W₁ after two steps off its closed form",
            measured.second_step,
            "at_most",
            0.0,
            ROUNDING,
            "theory",
            "relative: " + rounding,
        ),
        Check(
            "sigmoid: second singular value of W₁ over the first, from zero",
            measured.sigmoid_rank,
            "at_most",
            0.0,
            ROUNDING,
            "theory",
            "all units alike; " + rounding,
        ),
    ]
    return claims + theory


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    steps = np.arange(1, with_cause.moved.shape[1] + 1)
    shown = np.unique(np.geomspace(1, len(steps), 15).round().astype(int)) - 1
    axes.plot(steps, np.full(len(steps), FLOOR), label="theory, ReLU and tanh: 0 for ever")
    axes.plot([2, 2], [FLOOR, 1], label="theory, sigmoid: from step 2 on")
    for name, mark, moves in zip(NAMES, "o^s", with_cause.moved, strict=True):
        axes.plot(steps[shown], np.maximum(moves[shown], FLOOR), mark, label=f"zero weights, {name}")
    for name, mark, moves in zip(NAMES, "vDx", control.moved, strict=True):
        axes.plot(steps[shown], moves[shown], mark, label=f"random weights, {name}")
    axes.set(xlabel="step", ylabel="largest move of W₁ (0 drawn at 1e−17)", xscale="log", yscale="log")
