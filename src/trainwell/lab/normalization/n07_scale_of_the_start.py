"""N07: batch normalization makes training robust to the scale of the initial weights.

All hidden weights are multiplied by a. With batch normalization (BN) after every one of these maps the function is the
same for every a, except that ε, the small number under BN's root, shrinks the signal by √(v/(v + ε)) where the variance
v of a sum is not far above it. The gradient is not the same: ∇L(a w) = ∇L(w)/a, so that plain descent at the rate η
turns the weights as the net with a = 1 would at the rate η/a². Hence the claim holds towards small a (the first step is
huge, makes the weights long, and the effective rate falls to what suits) and not towards large a, where nothing moves
in the same number of steps; with the rate a² η for these weights all scales are one and the same run. Without BN a
changes the output by a to the power of the depth, and neither direction trains. The last layer, which has no norm
behind it, keeps its usual scale.

Decks: R
Control: the same net whose norms do not normalize: mean and variance held at 0 and 1, scale and shift trained.
Source: Ioffe & Szegedy 2015, §3.3, arXiv:1502.03167; Arora, Li & Lyu 2019, arXiv:1812.03981.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
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
from trainwell.theory.batch_normalization import epsilon_shrinkage

FORMULA = r"""
f(a W x) = f(W x), \quad \nabla L(a W) = \nabla L(W) / a \ \Rightarrow\ \eta_{\mathrm{effective}} = \eta / a^2
\mathrm{std}\, \hat{x} = \sqrt{v / (v + \varepsilon)}
"""
SCALES = 10.0 ** np.arange(-3, 3)
RATES = 10.0 ** np.array([-1.0, -0.5, 0.0])
TARGET = 0.85  # share of test pictures
STEPS = 30  # compared with the rate a² η


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


QUICK = Setting("digits", 1000, 300, width=32, depth=5, steps=150, batch=64, runs=6)
FULL = Setting("cifar10", 45000, 10000, width=128, depth=5, steps=4000, batch=128, runs=4, target=0.45)


@dataclass(frozen=True)
class Measured:
    """What one run gives: accuracy at each arm's best rate, (runs, scales), and what is exact, shape (scales,)."""

    normed: Array
    bare: Array  # the net without norms
    target: float
    moved: Array  # output at the start against that of a = 1, largest relative difference
    slope: Array  # a ‖∇L‖ over that of a = 1
    parted: Array  # outputs after some steps at the rate a² η against those of a = 1, largest relative difference
    spread: Array  # std of x̂ in the first layer, ε = 1e-5
    shrinkage: Array  # its prediction from the variance of the layer's sums


def measure(setting: Setting, cause: bool) -> Measured:
    normed, bare = _accuracies(setting, "batch" if cause else "held"), _accuracies(setting, "none")
    return Measured(normed, bare, setting.target, *_exact(setting))


def _data(setting: Setting) -> Pictures:
    return labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat


@functools.cache  # the net without norms is the same with the cause and without
def _accuracies(setting: Setting, norm: Norm) -> Array:
    """At the rate with the best mean over all scales, shape (runs, scales)."""
    pictures, nets, rates = _data(setting), [], []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        for _ in range(setting.runs):
            for rate in RATES:
                for scale in SCALES:
                    nets.append(scaled(normed_net(pictures.X.shape[1], setting.width, setting.depth, norm), scale))
                    rates.append(rate)
    training = Training(setting.steps, setting.batch, setting.steps)
    final = learning_curves(nets, rates, pictures, training, setting.seed)[:, -1]
    by_rate = final.reshape(setting.runs, len(RATES), len(SCALES))
    return by_rate[:, by_rate.mean((0, 2)).argmax()]


@torch.no_grad()
def scaled(net: nn.Sequential, scale: float) -> nn.Sequential:
    """Multiply the hidden weights in place."""
    for layer in hidden_maps(net):
        layer.weight *= scale
    return net


def _exact(setting: Setting) -> tuple[Array, Array, Array, Array, Array]:
    pictures = _data(setting)
    X, y = pictures.X[: setting.batch].double(), pictures.y[: setting.batch]
    found = []
    for scale in (1.0, *SCALES):  # the first is the reference of the others
        net = scaled(exactly_normed(X.shape[1], setting.width, setting.depth, setting.seed), scale)
        start = net(X).detach()
        cross_entropy(net(X), y).backward()
        slope = sum(
            float(layer.weight.grad.square().sum()) for layer in hidden_maps(net) if layer.weight.grad is not None
        )
        sums = hidden_maps(net)[0](X)
        spread = (
            nn.functional.batch_norm(sums, None, None, training=True, eps=1e-5).std(0, correction=0).detach().numpy()
        )
        shrinkage = epsilon_shrinkage(sums.detach().numpy().var(0))
        found.append((start, scale * slope**0.5, _after_steps(net, X, y, scale), spread, shrinkage))
    starts, slopes, ends, spreads, shrinkages = zip(*found, strict=True)
    apart = [[float((y - ys[0]).abs().max() / ys[0].abs().max()) for y in ys[1:]] for ys in (starts, ends)]
    return (
        np.array(apart[0]),
        np.array(slopes[1:]) / slopes[0],
        np.array(apart[1]),
        np.array(spreads[1:]).mean(1),
        np.array(shrinkages[1:]).mean(1),
    )


def _after_steps(net: nn.Sequential, X: torch.Tensor, y: torch.Tensor, scale: float) -> torch.Tensor:
    """Outputs after steps at the rate 0.1, and a² times that for the hidden weights."""
    weights = [layer.weight for layer in hidden_maps(net)]
    others = [p for p in net.parameters() if all(p is not w for w in weights)]
    groups: list[dict[str, Any]] = [{"params": weights, "lr": 0.1 * scale**2}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _ in range(STEPS):
        optimizer.zero_grad()
        cross_entropy(net(X), y).backward()
        optimizer.step()
    return net(X).detach()


def check(measured: Measured) -> list[Check]:
    lost = measured.normed[:, list(SCALES).index(1.0)][:, None] - measured.normed
    worst, worst_error = (each.max() for each in mean_and_error(lost))
    decades = [(arm >= measured.target).sum(1) for arm in (measured.normed, measured.bare)]
    wider, wider_error = mean_and_error(decades[0] - decades[1])
    rounding = "absolute: algebra, rounding of float64"
    return [
        Check(
            "accuracy lost at the worst scale from 10⁻³ to 10²",
            worst,
            "at_most",
            0.05,
            0.0,
            "claim",
            "absolute: robust means within five points",
            error=worst_error,
        ),
        Check(
            "decades of scales that reach the target, beyond those without norms",
            wider,
            "at_least",
            1,
            0.0,
            "claim",
            "a factor of ten is the least that can be seen",
            error=wider_error,
        ),
        Check(
            "output at the start, every scale against scale 1", measured.moved, "equals", 0.0, 1e-10, "theory", rounding
        ),
        Check("a ‖∇L(aW)‖ over ‖∇L(W)‖, every scale", measured.slope, "equals", 1.0, 1e-10, "theory", rounding),
        Check(
            f"output after {STEPS} steps at the rate a² η, every scale against scale 1",
            measured.parted,
            "equals",
            0.0,
            1e-8,
            "theory",
            "absolute: rounding of float64, which steps amplify",
        ),
        Check(
            "std of x̂ in the first layer, every scale",
            measured.spread,
            "equals",
            measured.shrinkage,
            1e-6,
            "theory",
            "algebra",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    axes.axhline(with_cause.target, label="target")
    axes.plot(SCALES, with_cause.shrinkage, "--", label="theory: std of x̂ in the first layer, 1 but for ε")
    arms = ((with_cause.normed, "o", "batch normalization"), (with_cause.bare, "^", "without"))
    for accuracies, mark, name in (*arms, (control.normed, "s", "control: scale and shift, no normalizing")):
        axes.errorbar(SCALES, *mean_and_error(accuracies), fmt=mark, label=name)
    axes.set(xlabel="factor on the hidden weights at the start", ylabel="right test pictures, share", xscale="log")
