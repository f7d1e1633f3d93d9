"""S19: weights of variance c/√(d_in d_out) let all layers of unequal width learn at the same relative speed.

A layer of weights W learns by its gradient g: how fast, against its own size, says r = E g²/E W² (mean squares over the
entries). In a chain of ReLU layers n_0 → n_1 → … → n_L with independent symmetric weights of variance v_l and no
biases,

    E ‖∂L/∂W_l‖² = C/v_l   with the same C for all layers, at every width,   hence   r_l = C/(n_{l−1} n_l v_l²),

for one example and a random gradient at the top, the first and the last layer included. All r_l are equal if and only
if v_l = c/√(n_{l−1} n_l), as the lecture says. Kaiming's 2/n_{l−1} gives r_l ∝ n_{l−1}/n_l and Xavier's
2/(n_{l−1} + n_l) gives r_l ∝ (n_{l−1} + n_l)²/(n_{l−1} n_l). Where all widths are equal the three agree.

Decks: M
Control: Kaiming's variance in the same nets.
Source: Defazio & Bottou 2019, arXiv:1906.04267.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.init import geometric_mean_, kaiming_, xavier_
from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.signal.random_net import Array, passes, relu_slope
from trainwell.theory.signal_flow import weight_to_gradient
from trainwell.theory.weight_variances import weight_variance

FORMULA = r"""
\frac{E\,(\partial L/\partial W_l)^2}{E\,W_l^2} = \frac{C}{n_{l-1}\, n_l\, (\mathrm{Var}\,W_l)^2}
\mathrm{equal\ in\ all\ layers\ for}\ \ \mathrm{Var}\,W_l = c\,/\sqrt{n_{l-1}\, n_l}
"""
RULES: dict[str, Callable[..., Tensor]] = {
    "geometric": geometric_mean_,
    "kaiming": kaiming_,
    "xavier": partial(xavier_, distribution="normal"),
}


@dataclass(frozen=True)
class Setting:
    widths: tuple[int, ...]  # n_0 … n_L
    nets: int
    batch: int = 8
    seed: int = 0


QUICK = Setting(widths=(64, 512, 128, 1024, 256), nets=150)
FULL = Setting(widths=(256, 2048, 512, 4096, 1024), nets=1000)


@dataclass(frozen=True)
class Measured:
    """r_l of each layer over the geometric mean of the layers, shape (layers,), with standard errors where needed."""

    tried: Array  # the geometric mean, or Kaiming in the control
    error: Array
    kaiming: Array
    xavier: Array
    even: Array  # Kaiming again, all widths equal
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    widths = setting.widths
    tried, error = _relative_speed("geometric" if cause else "kaiming", widths, setting, 0)
    kaiming, _ = _relative_speed("kaiming", widths, setting, 1)
    xavier, _ = _relative_speed("xavier", widths, setting, 2)
    same = (round(float(np.mean(widths[1:]))) // 2,) * len(widths)
    even, _ = _relative_speed("kaiming", same, setting, 3)
    return Measured(tried, error, kaiming, xavier, even, setting)


def _relative_speed(rule: str, widths: tuple[int, ...], setting: Setting, arm: int) -> tuple[Array, Array]:
    """r_l over the geometric mean of the layers, and its standard error."""
    generator = torch.Generator().manual_seed(4 * setting.seed + arm)
    shapes = [(outputs, inputs) for inputs, outputs in pairwise(widths)]
    found = np.empty((setting.nets, len(shapes)))
    for net in range(setting.nets):
        weights = [RULES[rule](torch.empty(shape), generator=generator) for shape in shapes]
        inputs, top = (torch.randn(setting.batch, n, generator=generator) for n in (widths[0], widths[-1]))
        gradient = passes(weights, 1.0, inputs, top, torch.relu, relu_slope).weight_gradient
        found[net] = [g**2 / float(w.square().sum()) for g, w in zip(gradient, weights, strict=True)]
    mean = found.mean(0)
    centred = mean / np.exp(np.log(mean).mean())
    own = found / mean - (found / mean).mean(1, keepdims=True)  # what a net does to all its layers alike drops out
    return centred, centred * mean_and_error(own)[1]


def predicted(rule: str, widths: tuple[int, ...]) -> Array:
    """The same in theory."""
    ratio = weight_to_gradient(widths, weight_variance(rule, widths[:-1], widths[1:]))
    return ratio / np.exp(np.log(ratio).mean())


def spread(ratio: Array) -> float:
    """The largest over the smallest."""
    return float(ratio.max() / ratio.min())


def check(measured: Measured) -> list[Check]:
    s = measured.setting
    # ln ‖h‖² and ln ‖∂L/∂h‖² each vary by 5/n in a layer; two layers' gradients share all of it but what lies between
    error = (2 * 5 * sum(1 / n for n in s.widths[1:]) / s.nets) ** 0.5
    reason = f"four standard errors, at most √(10 Σ 1/n_l / nets) each: {400 * error:.2g} %"
    more = f"more than noise: {100 * 8 * error:.2g} %, four standard errors of each of both"
    return [
        Check(
            "r of every layer over the layers' mean",
            measured.tried,
            "equals",
            1.0,
            4 * error,
            "claim",
            reason,
            error=measured.error,
        ),
        Check(
            "largest over smallest r, Kaiming's over this rule's",
            spread(measured.kaiming) / spread(measured.tried),
            "at_least",
            1 + 8 * error,
            0.0,
            "claim",
            more,
        ),
        Check(
            "largest over smallest r, Xavier's over this rule's",
            spread(measured.xavier) / spread(measured.tried),
            "at_least",
            1 + 8 * error,
            0.0,
            "claim",
            more,
        ),
        *(
            Check(f"r of every layer, {name}", ratio, "equals", predicted(rule, s.widths), 4 * error, "theory", reason)
            for rule, name, ratio in (
                ("kaiming", "Kaiming", measured.kaiming),
                ("xavier", "Xavier", measured.xavier),
            )
        ),
        Check("r of every layer, Kaiming, equal widths", measured.even, "equals", 1.0, 4 * error, "theory", reason),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    widths = with_cause.setting.widths
    layers = np.arange(1, len(widths))
    for rule in RULES:
        axes.plot(layers, predicted(rule, widths), label=f"theory, {rule}")
    axes.plot(layers, with_cause.tried, "o", label="geometric mean")
    axes.plot(layers, control.tried, "s", label="Kaiming (control)")
    axes.plot(layers, with_cause.xavier, "^", label="Xavier")
    axes.plot(layers, with_cause.even, "x", label="Kaiming, equal widths")
    axes.set_xticks(layers, [f"{n} → {m}" for n, m in pairwise(widths)])
    axes.set(xlabel="layer, n_in → n_out", ylabel="E g²/E W² over the layers' mean", yscale="log")
