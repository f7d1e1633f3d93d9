"""N06: batch normalization allows higher learning rates, trains faster, and over a wider range of rates.

Batch normalization (BN) makes each channel's sums W h of mean 0 and variance 1 over the batch. The loss L then does not
change when the weights w of a unit are multiplied by a > 0, so that w · ∇L = 0, and a step of gradient descent at the
rate η makes them longer, ‖w‖² by η²‖∇L‖². What turns is the direction of w, at the effective rate η/‖w‖²: one step that
is far too large leaves long weights and so a small effective rate, instead of a loss that explodes. There is no
prediction for how many rates this gains. “Faster” is true of each net's own best rate: at rates that are too small for
both, BN gains little or nothing.

Decks: R K
Control: the same net whose norms do not normalize: mean and variance held at 0 and 1, scale and shift trained.
Source: Ioffe & Szegedy 2015, §4.2, arXiv:1502.03167; Arora, Li & Lyu 2019, arXiv:1812.03981.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import Pictures, labelled_pictures
from trainwell.lab.normalization.normed_nets import (
    Array,
    Norm,
    Training,
    exactly_normed,
    hidden_maps,
    learning_curves,
    normed_net,
)

FORMULA = r"""
L(a w) = L(w)\ \Rightarrow\ w \cdot \nabla L = 0, \quad \|w - \eta \nabla L\|^2 = \|w\|^2 + \eta^2 \|\nabla L\|^2
\eta_{\mathrm{effective}} = \eta / \|w\|^2
"""
RATES_A_DECADE = 3
RATES = 10.0 ** np.linspace(-2, 2, 4 * RATES_A_DECADE + 1)
TARGET = 0.9  # share of test pictures


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
    target: float = TARGET
    seed: int = 0


QUICK = Setting("digits", 1000, 300, width=32, depth=5, steps=150, batch=64, runs=8)
FULL = Setting("cifar10", 45000, 10000, width=128, depth=5, steps=4000, batch=128, runs=4, target=0.45)


@dataclass(frozen=True)
class Measured:
    """What one run gives: curves of accuracy, shape (runs, rates, looks), and what is exact of one step."""

    normed: Array
    bare: Array  # the net without norms
    every: int  # steps between looks
    target: float
    slant: Array  # w · ∇L over ‖w‖ ‖∇L‖ of each hidden layer, ε = 0
    growth: Array  # of ‖w‖² in one step, over η²‖∇L‖²


def measure(setting: Setting, cause: bool) -> Measured:
    normed, bare = _curves(setting, "batch" if cause else "held"), _curves(setting, "none")
    return Measured(normed, bare, _every(setting), setting.target, *_one_step(setting))


def _every(setting: Setting) -> int:
    return max(1, setting.steps // 15)


def _data(setting: Setting) -> Pictures:
    return labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat


@functools.cache  # the net without norms is the same with the cause and without
def _curves(setting: Setting, norm: Norm) -> Array:
    pictures = _data(setting)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        count = setting.runs * len(RATES)
        nets = [normed_net(pictures.X.shape[1], setting.width, setting.depth, norm) for _ in range(count)]
    training = Training(setting.steps, setting.batch, _every(setting))
    curves = learning_curves(nets, np.tile(RATES, setting.runs), pictures, training, setting.seed)
    return curves.reshape(setting.runs, len(RATES), -1)


def _one_step(setting: Setting) -> tuple[Array, Array]:
    """Slant and growth of every hidden layer in a step at the rate 10."""
    pictures, rate = _data(setting), 10.0
    net = exactly_normed(pictures.X.shape[1], setting.width, setting.depth, setting.seed)
    maps = hidden_maps(net)
    cross_entropy(net(pictures.X[: setting.batch].double()), pictures.y[: setting.batch]).backward()
    found = []
    for layer in maps:
        w, slope = layer.weight.detach(), layer.weight.grad
        assert slope is not None
        longer = (w - rate * slope).square().sum() - w.square().sum()
        found.append((float((w * slope).sum() / w.norm() / slope.norm()), float(longer / (rate * slope.norm()) ** 2)))
    slant, growth = np.array(found).T
    return slant, growth


def reaching(curves: Array, target: float) -> Array:
    """How many rates end at the target or above, of each run."""
    return (curves[..., -1] >= target).sum(1).astype(float)


def highest(curves: Array, target: float) -> Array:
    """log₁₀ of the highest rate that ends at the target or above, of each run; of the lowest rate, if none does."""
    reached = curves[..., -1] >= target
    return np.where(reached, np.log10(RATES), np.log10(RATES[0])).max(1)


def steps_needed(curves: Array, target: float, every: int) -> Array:
    """Steps to the target at the rate that needs fewest, of each run; all of them and one look more, if none does."""
    at_least_once = np.concatenate([curves >= target, np.ones_like(curves[..., :1], bool)], -1)
    return (at_least_once.argmax(-1).min(1) + 1.0) * every


def check(measured: Measured) -> list[Check]:
    target, every = measured.target, measured.every
    wide = [reaching(curves, target) / RATES_A_DECADE for curves in (measured.normed, measured.bare)]
    high = [highest(curves, target) for curves in (measured.normed, measured.bare)]
    quick = [steps_needed(curves, target, every) for curves in (measured.normed, measured.bare)]
    wider, wider_error = mean_and_error(wide[0] - wide[1])
    higher, higher_error = mean_and_error(high[0] - high[1])
    faster, faster_error = mean_and_error(np.log2(quick[0] / quick[1]))
    step = 1 / RATES_A_DECADE
    spaced = f"absolute: one step of the grid, a factor of {10**step:.2g}, is the least that can be seen"
    return [
        Check(
            "highest rate that reaches the target over that without norms, log₁₀",
            higher,
            "at_least",
            step,
            0.0,
            "claim",
            spaced,
            error=higher_error,
        ),
        Check(
            "rates that reach the target beyond those without norms, decades",
            wider,
            "at_least",
            step,
            0.0,
            "claim",
            spaced,
            error=wider_error,
        ),
        Check(
            "steps to the target at the best rate over those without norms, log₂",
            faster,
            "at_most",
            0.0,
            0.0,
            "claim",
            "the claim is a sign",
            error=faster_error,
        ),
        Check(
            "w · ∇L/(‖w‖ ‖∇L‖) of every hidden layer",
            measured.slant,
            "equals",
            0.0,
            1e-10,
            "theory",
            "absolute: algebra, rounding of float64",
        ),
        Check(
            "growth of ‖w‖² in a step over η²‖∇L‖²",
            measured.growth,
            "equals",
            1.0,
            1e-8,
            "theory",
            "algebra; ‖w‖² cancels",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    axes.axhline(with_cause.target, label="target")
    arms = ((with_cause.normed, "o", "batch normalization"), (with_cause.bare, "^", "without"))
    for curves, mark, name in (*arms, (control.normed, "s", "control: scale and shift, no normalizing")):
        mean, error = mean_and_error(curves[..., -1])
        axes.errorbar(
            RATES,
            mean,
            error,
            fmt=mark,
            label=f"{name}: {steps_needed(curves, with_cause.target, with_cause.every).mean():.0f} steps",
        )
    axes.set(xlabel="learning rate", ylabel="right test pictures at the end, share", xscale="log")
