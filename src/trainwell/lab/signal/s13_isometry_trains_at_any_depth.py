"""S13: under dynamical isometry the training time does not grow with depth.

A deep linear net W = W_L … W_1 learns a map A by gradient descent on ½‖W − A‖². Where its layers are balanced and
aligned with A, each singular mode of W has a strength u of its own, the product of L equal factors, and

    du/dt = L u^{2 − 2/L} (s − u)      towards A's strength s.

With a learning rate c/L the number of steps stays bounded with depth if the start u(0) does not depend on it. The
product of orthogonal matrices has u = 1 at every depth; in a product of Gaussian ones the lower u fall exponentially
with L and must grow first. Orthogonal hard-tanh nets (φ(z) = max(−1, min(1, z))) do as linear ones while L(1 − p) ≪ 1,
p the share of units within ±1. The rate must fall as 1/L: “depth-independent” counts steps at the best c. Time may grow
by a bounded amount, as in the aligned case from 30 steps at 2 layers to 40 at 128; a power law of L it is not.

Here the learned map is random, of 16 numbers to 4 and not aligned with anything, and c is the best of one list, the
same for all nets. The biases that hold the second moment q of hard-tanh's inputs (of standard deviation 0.012) are left
out: that costs 0.1 % of q a layer.

Decks: T
Control: Gaussian weights of the same σ_w.
Source: Saxe, McClelland & Ganguli 2014, §3, arXiv:1312.6120; Pennington et al. 2017, §3, arXiv:1711.04735.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import hardtanh

from trainwell.init import orthogonal_
from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array
from trainwell.theory.critical_point import critical
from trainwell.theory.linear_networks import steps_to_loss

FORMULA = r"""
\frac{du}{dt} = L\, u^{2 - 2/L} (s - u), \quad \eta = c / L
"""
MOMENT = 0.1  # q of the hard-tanh net: 0.16 % of its units are beyond ±1
FACTORS = (0.1, 0.2, 0.4)  # c, of the learning rate c/L; the largest is half of what all these depths bear
GOAL = 0.01  # loss over that of the zero map
ALIGNED = {"start": 0.5, "target": 1.0, "factor": 0.1, "loss": 1e-3}
Function = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Setting:
    depths: tuple[int, ...]
    nets: int
    limit: int  # steps; a net that needs more counts as done there
    width: int = 16
    outputs: int = 4
    seed: int = 0


QUICK = Setting(depths=(8, 16, 32, 64), nets=20, limit=200)
FULL = Setting(depths=(8, 16, 32, 64, 128, 256), nets=12, limit=3000, width=64, outputs=10)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    linear: Array  # steps to the goal, shape (depths, nets)
    hard_tanh: Array
    aligned: Array  # of a balanced, aligned linear net, shape (depths,)
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    sigma_w = critical("hard_tanh", MOMENT).sigma_w
    linear, hard_tanh = (
        np.stack([_steps_at_best_rate(setting, depth, cause, gain, function, generator) for depth in setting.depths])
        for gain, function in ((1.0, _identity), (sigma_w, hardtanh))
    )
    aligned = np.array([_aligned_steps(setting, depth, generator) for depth in setting.depths])
    return Measured(linear, hard_tanh, aligned, setting)


def _identity(z: Tensor) -> Tensor:
    return z


def _matrices(shape: tuple[int, int], count: int, gain: float, orthogonal: bool, generator: torch.Generator) -> Tensor:
    if orthogonal:
        empty = torch.empty(shape, dtype=torch.float64)
        return torch.stack([orthogonal_(empty.clone(), gain, generator=generator) for _ in range(count)])
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64) * gain / shape[1] ** 0.5


def _steps_at_best_rate(
    setting: Setting, depth: int, cause: bool, gain: float, function: Function, generator: torch.Generator
) -> Array:
    """Steps of each net at the rate at which most nets reach the goal, and the last of them soonest."""
    width, nets = setting.width, setting.nets
    shapes = [(width, width)] * (depth - 1) + [(setting.outputs, width)]
    layers = [_matrices(shape, nets, gain, cause, generator) for shape in shapes]
    target = torch.randn(nets, setting.outputs, width, generator=generator, dtype=torch.float64) / width**0.5
    goal = GOAL * 0.5 * target.square().sum((1, 2))
    rates = torch.tensor(FACTORS, dtype=torch.float64).repeat_interleave(nets) / depth
    copies = [layer.repeat(len(FACTORS), 1, 1) for layer in layers]
    steps = train(
        copies, target.repeat(len(FACTORS), 1, 1), rates, goal.repeat(len(FACTORS)), setting.limit, function, nets
    )
    return min(steps.reshape(len(FACTORS), nets), key=lambda row: (row.mean(), row.max()))


def train(
    layers: list[Tensor], target: Tensor, rates: Tensor, goal: Tensor, limit: int, function: Function, group: int
) -> Array:
    """Train many nets side by side by gradient descent and count each one's steps to its goal.

    The inputs are √(width · q) times the unit vectors: the loss of linear layers is ½‖W − A‖², and hard-tanh's first
    pre-activations have the second moment q. It ends when some group of nets is done.

    Args:
        layers: W_1 … W_L, each of shape (nets, out, in); the last has no φ.
        target: A, shape (nets, outputs, width).
        rates: of each net.
        goal: loss to reach.
        limit: steps; what a net counts that is not done.
        function: φ.
        group: nets of one group, neighbours.
    """
    scale = (target.shape[2] * MOMENT) ** 0.5
    inputs = scale * torch.eye(target.shape[2], dtype=target.dtype)
    leaves = [layer.clone().requires_grad_() for layer in layers]
    steps = torch.full(goal.shape, limit)
    for step in range(limit):
        h = function(leaves[0] @ inputs) if len(leaves) > 1 else leaves[0] @ inputs
        for leaf in leaves[1:-1]:
            h = function(leaf @ h)
        loss = 0.5 * (leaves[-1] @ h / scale - target).square().sum((1, 2))
        steps = torch.where((loss <= goal) & (steps == limit), step, steps)
        if (steps.reshape(-1, group) < limit).all(1).any():
            break
        gradients = torch.autograd.grad(loss.sum(), leaves)
        with torch.no_grad():
            for leaf, gradient in zip(leaves, gradients, strict=True):
                leaf -= rates[:, None, None] * gradient
    return steps.numpy().astype(float)


def _aligned_steps(setting: Setting, depth: int, generator: torch.Generator) -> float:
    """Steps of a net W_l = R_l a R_{l−1}ᵀ, R_l orthogonal, that learns R_L s R_0ᵀ."""
    outputs = setting.outputs
    turns = _matrices((outputs, outputs), depth + 1, 1.0, True, generator)
    factor = ALIGNED["start"] ** (1 / depth)
    layers = [factor * (after @ before.T)[None] for before, after in pairwise(turns)]
    target = ALIGNED["target"] * (turns[-1] @ turns[0].T)[None]
    rate = torch.tensor([ALIGNED["factor"] / depth], dtype=torch.float64)
    goal = torch.tensor([outputs * ALIGNED["loss"]], dtype=torch.float64)
    return float(train(layers, target, rate, goal, setting.limit, _identity, 1)[0])


def growth(steps: Array, depths: tuple[int, ...]) -> Array:
    """Slope of ln steps against ln depth, of every net: steps ∝ L^slope."""
    x = np.log(depths) - np.log(depths).mean()
    return x @ np.log(steps) / (x @ x)


def predicted(depths: tuple[int, ...]) -> Array:
    """Steps of the aligned net in theory."""
    a = ALIGNED
    found = [steps_to_loss(a["start"], a["target"], depth, a["factor"] / depth, a["loss"]) for depth in depths]
    return np.array(found, float)


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    checks = []
    for name, steps in (("linear", measured.linear), ("hard-tanh", measured.hard_tanh)):
        mean, error = mean_and_error(growth(steps, s.depths))
        checks.append(
            Check(
                f"{name}: slope of ln steps against ln depth",
                mean,
                "at_most",
                0.0,
                0.25,
                "claim",
                "absolute: half of the ½ that is published for nets without isometry, √L",
                absolute=True,
                error=error,
            )
        )
    return [
        *checks,
        Check(
            "balanced, aligned linear net: steps at every depth",
            measured.aligned,
            "equals",
            predicted(s.depths),
            0.0,
            "theory",
            "whole numbers",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    depths = np.array(with_cause.setting.depths)
    axes.plot(depths, predicted(with_cause.setting.depths), label="theory, aligned linear net")
    axes.plot(depths, with_cause.aligned, "o", label="aligned linear net")
    for marker, name in (("^", "linear"), ("v", "hard_tanh")):
        for part, kind in ((with_cause, "orthogonal"), (control, "Gaussian (control)")):
            logs, error = mean_and_error(np.log(getattr(part, name)), 1)
            label = f"{name.replace('_', '-')}, {kind}"
            axes.errorbar(
                depths, np.exp(logs), np.exp(logs) * error, fmt=marker if part is with_cause else "s", label=label
            )
    axes.set(xlabel="depth L, layers", ylabel="steps to 1 % of the loss", xscale="log", yscale="log")
