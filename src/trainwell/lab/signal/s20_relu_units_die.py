"""S20: large steps kill ReLU units for good, leaky ReLU and ELU units survive them, and sign gives no gradient at all.

A unit φ(w·x + b) whose slope φ' is 0 on every training picture gets no gradient, and in a net of one hidden layer,
whose inputs stay as they are, none ever again: it is dead. A ReLU unit is dead if w·x_i + b ≤ 0 for all N pictures;
for pre-activations N(b, s²) that has the chance Φ(−b/s)^N (Φ is the normal distribution function), a threshold near
b = −3 s. One step of learning rate η that pushes the output down by 1 a picture moves the bias of a fresh unit, active
on half of the pictures, to −η/2. The slope of sign is 0 wherever it exists: all units are dead from the start.

Leaky ReLU has slope a > 0 below zero (one lecture says 0.1, another 0.01) and never dies. ELU's slope there is e^z > 0,
but its gradient shrinks with it, and a computer rounds it to 0 for z < −745 (64 bits): steps a few times larger than
those that kill half of the ReLU units throw units that far, and these are as dead. The claim holds in part.

Decks: M R
Control: steps a thousand times smaller.
Source: Maas, Hannun & Ng 2013; Clevert et al. 2016, arXiv:1511.07289; Lu et al. 2019, arXiv:1903.06733.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn.functional import cross_entropy, elu, leaky_relu

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.theory.dead_units import dead_chance

FORMULA = r"""
\mathrm{dead:}\quad \phi'(w\cdot x_i + b) = 0 \ \mathrm{for\ all}\ i = 1 \ldots N
P(\mathrm{dead\ ReLU}) = \Phi(-b/s)^N, \qquad b = -\eta/2 \ \mathrm{after\ one\ push}
"""
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": torch.relu,
    "leaky ReLU, 0.1": lambda z: leaky_relu(z, 0.1),
    "leaky ReLU, 0.01": lambda z: leaky_relu(z, 0.01),
    "ELU": elu,
    "sign": torch.sign,
}
RATES = (0.1, 0.3, 1.0, 3.0, 10.0)
PUSHES = (5.0, 5.5, 6.0, 6.5, 7.0, 8.0)
SMALLER = 1000.0  # the control's steps
LOWEST = float(np.log(np.finfo(np.float64).smallest_subnormal))  # −744.4


@dataclass(frozen=True)
class Setting:
    nets: int
    pictures: int
    steps: int
    width: int = 32
    batch: int = 32
    data: str = "digits"
    drawn: int = 200
    seed: int = 0


QUICK = Setting(nets=12, pictures=400, steps=200)
FULL = Setting(nets=10, pictures=5000, steps=4000, data="mnist", width=100, drawn=2000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; arrays of the trained nets have shape (activations, nets, rates)."""

    rates: Array
    dead: Array  # share of hidden units after training
    stayed: Array  # share of the ReLU units dead at half-time that are dead at the end; nan where there were none
    moved: float  # largest change of a hidden weight under sign
    pushes: Array
    pushed: Array  # share of ReLU units dead after one push of the bias, shape (draws, pushes)
    lowest: float  # largest pre-activation on any picture of the dead ELU units; −inf if there are none
    samples: int


def measure(setting: Setting, cause: bool) -> Measured:
    smaller = 1.0 if cause else SMALLER
    rates = torch.tensor(RATES, dtype=torch.float64) / smaller
    pictures = labelled_pictures(setting.data, setting.pictures, 0, setting.seed).flat
    X = pictures.X.double()
    trained = {name: _trained(X, pictures.y, activation, rates, setting) for name, activation in ACTIVATIONS.items()}
    dead = np.stack([each.end.double().mean(1).reshape(setting.nets, -1).numpy() for each in trained.values()])
    relu, exponential = trained["ReLU"], trained["ELU"]
    stayed = ((relu.half & relu.end).sum(1) / relu.half.sum(1)).reshape(setting.nets, -1).numpy()
    lowest = float(exponential.highest[exponential.end].max()) if exponential.end.any() else float("-inf")
    pushes = np.array(PUSHES) / smaller
    pushed = _pushed(pushes, setting)
    return Measured(rates.numpy(), dead, stayed, trained["sign"].moved, pushes, pushed, lowest, setting.pictures)


class _Trained(NamedTuple):
    """Tensors of shape (nets · rates, width)."""

    half: Tensor  # dead at half-time
    end: Tensor  # dead at the end
    highest: Tensor  # largest pre-activation on any picture
    moved: float  # largest change of a hidden weight


def _trained(X: Tensor, y: Tensor, activation: Callable[[Tensor], Tensor], rates: Tensor, setting: Setting) -> _Trained:
    """Train nets of one hidden layer, all rates of a net from the same start, and look at the hidden units."""
    generator = torch.Generator().manual_seed(setting.seed + 1)
    width, features, outputs = setting.width, X.shape[1], 10

    def drawn(rows: int, columns: int, variance: float) -> Tensor:
        weight = torch.randn(setting.nets, rows, columns, generator=generator, dtype=X.dtype) * variance**0.5
        return weight.repeat_interleave(len(rates), 0).requires_grad_()  # every rate starts from the same nets

    W, V = drawn(features, width, 2 / features), drawn(width, outputs, 1 / width)
    b, c = drawn(1, width, 0.0), drawn(1, outputs, 0.0)
    first, rate = W.detach().clone(), rates.repeat(setting.nets)[:, None, None]
    half = torch.empty(0)
    for step in range(setting.steps):
        if step == setting.steps // 2:
            half = _dead(X @ W + b, activation)
        rows = torch.randint(len(X), (setting.batch,), generator=generator)
        logits = activation(X[rows] @ W + b) @ V + c
        loss = cross_entropy(logits.flatten(0, 1), y[rows].repeat(len(W)), reduction="sum") / setting.batch
        gradients = torch.autograd.grad(loss, (W, b, V, c))
        with torch.no_grad():
            for parameter, gradient in zip((W, b, V, c), gradients, strict=True):
                parameter -= rate * gradient
    z = (X @ W + b).detach()
    return _Trained(half, _dead(z, activation), z.amax(1), float((W.detach() - first).abs().max()))


def _dead(z: Tensor, activation: Callable[[Tensor], Tensor]) -> Tensor:
    """Whether the activation's slope is 0 for all pictures, (nets, pictures, width) → (nets, width)."""
    z = z.detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(z).sum(), z)
    return (slope == 0).all(1)


def _pushed(pushes: Array, setting: Setting) -> Array:
    """Share of units w·x − η/2, |w| = 1, x ~ N(0, I), that are never active, shape (draws, pushes)."""
    generator = torch.Generator().manual_seed(setting.seed + 2)
    found = []
    for _ in range(setting.drawn):
        x = torch.randn(setting.pictures, 64, generator=generator, dtype=torch.float64)
        w = torch.randn(64, 20, generator=generator, dtype=torch.float64)
        highest = (x @ (w / w.norm(dim=0))).amax(0)
        found.append([float((highest <= push / 2).double().mean()) for push in pushes])
    return np.array(found)


def check(measured: Measured) -> list[Check]:
    means, errors = mean_and_error(measured.dead, axis=1)
    dead, error = dict(zip(ACTIVATIONS, means, strict=True)), dict(zip(ACTIVATIONS, errors, strict=True))
    leaky = np.stack([dead["leaky ReLU, 0.1"], dead["leaky ReLU, 0.01"]])
    kept = measured.stayed[np.isfinite(measured.stayed)]
    slope = "exact: the slope is above 0 everywhere"
    rule = "one in ten at least: the lectures name no number"
    checks = [
        _claim("ReLU units dead at the largest rate", dead["ReLU"][-1], "at_least", 0.1, rule, error["ReLU"][-1]),
        _claim("leaky ReLU units dead, every rate", leaky, "equals", 0.0, slope),
        _claim("ELU units dead, every rate", dead["ELU"], "equals", 0.0, slope + ", before rounding", error["ELU"]),
        _claim("sign: units without a gradient, every rate", dead["sign"], "equals", 1.0, "exact: the slope is 0"),
        _claim("sign: largest change of a hidden weight", measured.moved, "equals", 0.0, "exact: the slope is 0"),
    ]
    exact = "exact: without a gradient nothing moves them"
    stay = kept if len(kept) else 1.0
    under = "e^z rounds to 0 below the logarithm of the smallest positive number of 64 bits"
    chance, spread = mean_and_error(measured.pushed)
    chances = dead_chance(-measured.pushes / 2, measured.samples)
    return [
        *checks,
        Check("ReLU units dead at half-time and at the end", stay, "equals", 1.0, 0.0, "theory", exact),
        Check("dead ELU units: largest z", measured.lowest, "at_most", LOWEST, 0.0, "theory", under),
        Check(
            "ReLU units dead after one push, less Φ(η/2)^N, over the standard error",
            (chance - chances) / np.maximum(spread, 1e-12),
            "equals",
            0.0,
            4.0,
            "theory",
            "four standard errors",
            absolute=True,
        ),
    ]


def _claim(
    name: str,
    value: ArrayLike,
    relation: Literal["equals", "at_least"],
    reference: float,
    reason: str,
    error: ArrayLike | None = None,
) -> Check:
    return Check(name, value, relation, reference, 0.0, "claim", reason, error=error)


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    grid = np.geomspace(control.rates[0], with_cause.rates[-1], 400)
    axes.plot(grid, dead_chance(-grid / 2, with_cause.samples), label="theory, one push: Φ(η/2)^N")
    axes.plot(with_cause.pushes, with_cause.pushed.mean(0), ".", label="ReLU, one push")
    marks = ("o", "^", "v", "d", "x")
    for name, mark, dead in zip(ACTIVATIONS, marks, with_cause.dead.mean(1), strict=True):
        axes.plot(with_cause.rates, dead, mark, label=f"{name}, trained")
    axes.plot(control.rates, control.dead[0].mean(0), "s", label="ReLU, trained, control")
    axes.set(xlabel="learning rate", ylabel="share of dead hidden units", xscale="log")
