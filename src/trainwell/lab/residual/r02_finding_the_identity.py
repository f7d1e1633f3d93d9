"""R02: plain layers cannot find the identity; residual layers start at it.

Task: y = x, x ~ N(0, I_d). A plain chain of L layers of width m, h ← relu(W h), the last one linear, can be the
identity for m ≥ 2d, since x = relu(x) − relu(−x). From a random start (Kaiming) its output has nothing to do with x: in
the mean over nets the loss per coordinate is 1 + E out² = 2. The typical deep net says less and so loses 1: its output
is smaller by exp(½ Σ u), E ln|out|² = ln|x|² + (L−1) u(m) + u(d) with u(m) ≈ −5/(2m) for a ReLU layer (claim S10). A
residual chain of L/2 blocks h ← h + V relu(W h), V = 0 at the start, is the identity before the first step: the loss
and its gradient are 0.

A chain has found the identity if it explains 99 % of the variance of x within the steps it is given, at the best rate
of a grid that is the same for all. What is lacking is no power of representation, and "cannot" is a matter of
depth and steps: one layer finds it, eight get nearer than sixty-four.

Decks: T
Control: one layer (or block) in place of 8 to 64.
Source: He et al. 2016, §3.1, arXiv:1512.03385; Hardt & Ma 2017, arXiv:1611.04231.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.theory.finite_width import log_norm_step

Array = NDArray[np.float64]
Chain = list[list[Tensor]]  # of each layer or block its matrices, each of shape (nets, fan_in, fan_out)
FORMULA = r"""
\mathrm{plain}:\ h \leftarrow \mathrm{relu}(W h), \qquad E\,(y - x)^2 = 1 + E\,y^2
\mathrm{residual}:\ h \leftarrow h + V\, \mathrm{relu}(W h), \quad V = 0 \ \Rightarrow\ y = x
"""
DEPTHS = (8, 16, 32, 64)
RATES = (0.003, 0.01, 0.03, 0.1)
FOUND = 0.01  # loss per coordinate: 99 % of the variance is explained
LAST = 50  # batches over which the final loss is averaged


@dataclass(frozen=True)
class Setting:
    nets: int
    steps: int
    fresh: int = 1000  # nets for the output's norm at the start
    dimension: int = 8
    width: int = 32
    batch: int = 32
    seed: int = 0


QUICK = Setting(nets=5, steps=350)
FULL = Setting(nets=10, steps=20000)


@dataclass(frozen=True)
class Measured:
    """What one run gives, for each depth."""

    depths: tuple[int, ...]
    plain: Array  # final loss at the best rate, mean over the nets
    plain_error: Array
    residual: Array  # the same of the residual chain
    residual_start: Array  # its loss before the first step
    logs: Array  # E ln(|out|²/|x|²) of plain chains at the start
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    depths = DEPTHS if cause else (1,)
    generator = torch.Generator().manual_seed(setting.seed)
    plain, residual = [], []
    for depth in depths:
        plain.append(_trained(plain_chain(depth, setting.nets, setting, generator), setting, generator))
        residual.append(_trained(residual_chain(depth, setting.nets, setting, generator), setting, generator))
    final, error = zip(*(_best(losses) for losses in plain), strict=True)
    return Measured(
        depths,
        np.array(final),
        np.array(error),
        np.array([_best(losses)[0] for losses in residual]),
        np.array([losses[0].max() for losses in residual]),
        np.array([_start(depth, setting, generator) for depth in depths]),
        setting,
    )


def plain_chain(depth: int, nets: int, setting: Setting, generator: torch.Generator) -> Chain:
    """Kaiming's variance 2/fan_in, and 1/fan_in of the last layer, which no ReLU follows."""
    d, m = setting.dimension, setting.width
    sizes = [d, *[m] * (depth - 1), d]
    chain = []
    for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
        variance = (1.0 if layer == depth else 2.0) / fan_in
        chain.append([torch.randn(nets, fan_in, fan_out, generator=generator) * variance**0.5])
    return chain


def residual_chain(depth: int, nets: int, setting: Setting, generator: torch.Generator) -> Chain:
    """Blocks of two layers: W with Kaiming's variance, V = 0."""
    d, m = setting.dimension, setting.width
    blocks = max(1, depth // 2)
    return [
        [torch.randn(nets, d, m, generator=generator) * (2 / d) ** 0.5, torch.zeros(nets, m, d)] for _ in range(blocks)
    ]


def output(chain: Chain, x: Tensor) -> Tensor:
    """Of every net, shape (nets, batch, d)."""
    h = x
    for place, matrices in enumerate(chain):
        if len(matrices) == 2:
            h = h + torch.relu(h @ matrices[0]) @ matrices[1]
        else:
            h = h @ matrices[0] if place == len(chain) - 1 else torch.relu(h @ matrices[0])
    return h


def _trained(chain: Chain, setting: Setting, generator: torch.Generator) -> Array:
    """Losses per coordinate of plain SGD on fresh batches, shape (steps, rates, nets)."""
    nets, rates = len(chain[0][0]), len(RATES)
    copies = [[w.repeat(rates, 1, 1).requires_grad_() for w in matrices] for matrices in chain]
    weights = [w for matrices in copies for w in matrices]
    rate = torch.tensor(RATES).repeat_interleave(nets)[:, None, None]
    losses = torch.empty(setting.steps, rates * nets)
    for step in range(setting.steps):
        x = torch.randn(nets, setting.batch, setting.dimension, generator=generator).repeat(rates, 1, 1)
        wrong = (output(copies, x) - x).square()
        losses[step] = wrong.detach().mean((1, 2))
        gradients = torch.autograd.grad(0.5 * wrong.sum(2).mean(1).sum(), weights)
        with torch.no_grad():
            for w, gradient in zip(weights, gradients, strict=True):
                w -= rate * gradient
    return losses.view(setting.steps, rates, nets).double().numpy()


def _best(losses: Array) -> tuple[float, float]:
    """Final loss at the rate where it is least, and its standard error over the nets."""
    final = np.nan_to_num(losses[-LAST:].mean(0), nan=np.inf)
    mean, error = mean_and_error(final[final.mean(1).argmin()])
    return float(mean), float(error)


@torch.no_grad()
def _start(depth: int, setting: Setting, generator: torch.Generator) -> float:
    x = torch.randn(setting.fresh, 1, setting.dimension, generator=generator)
    out = output(plain_chain(depth, setting.fresh, setting, generator), x)
    return float((out.square().sum(2) / x.square().sum(2)).log().mean())


def predicted_start(depths: tuple[int, ...], setting: Setting) -> tuple[Array, Array]:
    """E ln(|out|²/|x|²) of a plain chain, and the standard error of its mean over the fresh nets, for each depth."""
    inner, last = np.array(log_norm_step(setting.width)), np.array(log_norm_step(setting.dimension, linear=True))
    mean, variance = np.stack([(depth - 1) * inner + last for depth in depths], 1)
    return mean, np.sqrt(variance / setting.fresh)


def check(measured: Measured) -> list[Check]:
    start, spread = predicted_start(measured.depths, measured.setting)
    found = "99 % of the variance: the bound of this experiment; the losses are 10 standard errors away and more"
    checks = [
        Check("residual: loss before the first step", measured.residual_start, "at_most", 0.0, 0.0, "claim", "exact"),
        Check("residual: loss at the end", measured.residual, "at_most", 0.0, 0.0, "claim", "exact: gradient 0"),
        Check(
            "plain: loss at the end, every depth",
            measured.plain,
            "at_least",
            FOUND,
            0.0,
            "claim",
            found,
            error=measured.plain_error,
        ),
    ]
    for depth, value, right, error in zip(measured.depths, measured.logs, start, spread, strict=True):
        name, why = f"plain, {depth} layers: E ln(|out|²/|x|²) at the start", "absolute: four standard errors"
        checks.append(Check(name, value, "equals", right, 4 * error, "theory", why, absolute=True, error=error))
    return checks


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    every = np.array([*control.depths, *with_cause.depths])
    axes.plot(every, np.ones(len(every)), label="theory: an output that is 0")
    axes.plot(every, np.full(len(every), 0.0), label="theory: residual")
    axes.errorbar(with_cause.depths, with_cause.plain, 2 * with_cause.plain_error, fmt="o", label="plain")
    axes.plot(with_cause.depths, with_cause.residual, "^", label="residual")
    axes.plot(control.depths, control.plain, "s", label="plain, one layer (control)")
    axes.set_xscale("log", base=2)
    axes.set(xlabel="layers", ylabel="loss per coordinate after training", xticks=every, xticklabels=every)
