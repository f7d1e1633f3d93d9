"""S16: clipping the norm of the gradient survives a cliff of the loss that breaks plain descent.

Clipping is g ← g · min(1, c/‖g‖): the direction is kept, and a step of rate η moves by ηc at most. (A lecture's "set
the gradient to the threshold" has to be read so.) Where the loss is a wall, plain descent jumps as far as it is steep.

The cliff is that of a recurrent net with one unit, x_t = w σ(x_{t−1}) + b, x_0 = ½, whose last of 50 outputs should be
σ(x_50) = 0.7. One step multiplies a small change by w σ'. For w σ'(½) > 1 the start ½ can be an unstable fixed point;
on its two sides the net ends in different states, and this is the wall:

    b = ½ − w σ(½),    and the loss is 0 on b = ln(7/3) − 0.7 w, as far as that lies above the wall

The same is seen in a small net: a recurrent one with random weights of standard deviation 2/√width, which is to say the
sine of the sum of its inputs. At large rates plain descent breaks it and clipped descent trains it. At small rates both
train: clipping widens the range of rates and is no condition for learning.

Decks: K
Control: no clipping in place of it.
Source: Pascanu, Mikolov & Bengio 2013, §2.3 and §3.2, arXiv:1211.5063.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.signal.clipped_crowd import descend_together
from trainwell.lab.signal.random_net import Array
from trainwell.optim.clipping import clip_

FORMULA = r"""
g \leftarrow g \cdot \min(1,\ c/\|g\|), \quad \|\Delta w\| \leq \eta\, c
x_t = w\, \sigma(x_{t-1}) + b, \quad E = (\sigma(x_{50}) - 0.7)^2
"""
GOAL, FIRST, TIMES = 0.7, 0.5, 50
GAIN = 2.0  # √width times the deviation of the recurrent weights
RATES = (0.03, 0.1, 0.3, 1.0)
LARGE = 2  # place of the first of RATES at which the small net is to survive
SCANNED = (5.0, 6.0)  # w of the wall


@dataclass(frozen=True)
class Setting:
    starts: int
    nets: int  # for each rate
    width: int = 16
    length: int = 15
    batch: int = 32
    steps: int = 400
    rate: float = 0.3  # on the cliff
    limit: float = 0.3  # c
    seed: int = 0


QUICK = Setting(starts=50, nets=8)
FULL = Setting(starts=1000, nets=50, width=64, length=40, steps=4000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; the first of two rows is plain descent, the second is clipped."""

    bottom: Array  # whether each start on the cliff ended with E ≤ 0.01, shape (2, starts)
    paths: Array  # (w, b) of the first start, shape (2, steps + 1, 2)
    longest: float  # step of clipped descent on the cliff, over ηc
    apart: float  # largest distance of the two descents where there is no cliff
    wall: Array  # b of the steepest place at each w of SCANNED
    errors: Array  # E of the small net over the targets' variance, shape (2, rates, nets)
    rescaled: Array  # (3, 4) clipped at 1
    setting: Setting

    @property
    def survived(self) -> Array:
        """Whether the small nets ended better than guessing the mean, shape (2, rates, nets)."""
        return np.where(np.isfinite(self.errors), self.errors < 1, False).astype(float)


def measure(setting: Setting, cause: bool) -> Measured:
    limits = (None, setting.limit if cause else None)
    generator = torch.Generator().manual_seed(setting.seed)
    share = torch.rand(2, 2, setting.starts, generator=generator, dtype=torch.float64)
    w = 5 + share[0, 0]
    before_wall = torch.stack([w, _wall(w) - 0.1 - 0.4 * share[0, 1]], 1)
    gentle = torch.stack([1 + share[1, 0], -1 + share[1, 1]], 1)[:10]  # w ≤ 2: w σ' ≤ ½
    rates = [setting.rate] * setting.starts
    on, off = (
        [descend_together(starts, rates[: len(starts)], _cliff, steps=setting.steps, limit=limit) for limit in limits]
        for starts in (before_wall, gentle)
    )
    jumps = on[1].places.diff(dim=0).norm(dim=2).max() / (setting.rate * setting.limit)
    vector = torch.zeros(2, requires_grad=True)
    vector.grad = torch.tensor([3.0, 4.0])
    if cause:
        clip_("norm", [vector], 1.0)
    return Measured(
        np.array([(_cliff(each.places[-1]) <= 0.01).double().numpy() for each in on]),
        np.array([each.places[:, 0].numpy() for each in on]),
        float(jumps),
        float((off[0].places - off[1].places).norm(dim=2).max()),
        np.array([_steepest(each) for each in SCANNED]),
        np.array([_recurrent(setting, limit) for limit in limits]),
        vector.grad.double().numpy(),
        setting,
    )


def _wall(w: Tensor) -> Tensor:
    """b at which x_0 is a fixed point: ½ − w σ(½)."""
    return FIRST - w * torch.sigmoid(torch.tensor(FIRST, dtype=w.dtype))


def _cliff(parameters: Tensor, step: int = 0) -> Tensor:
    """E of each (w, b)."""
    w, b = parameters.unbind(1)
    x = torch.full_like(w, FIRST)
    for _ in range(TIMES):
        x = w * torch.sigmoid(x) + b
    return (torch.sigmoid(x) - GOAL) ** 2


def _steepest(w: float) -> float:
    """b of the largest |∂E/∂b| within 0.5 of the predicted wall, to 1e-4."""
    b = float(_wall(torch.tensor(w, dtype=torch.float64))) + torch.linspace(-0.5, 0.5, 10001, dtype=torch.float64)
    slopes = _cliff(torch.stack([torch.full_like(b, w), b], 1)).diff().abs()
    return float(b[:-1][slopes.argmax()])


def _recurrent(setting: Setting, limit: float | None) -> Array:
    """Error of the trained small nets on new sequences over the variance of the targets, shape (rates, nets)."""
    generator = torch.Generator().manual_seed(setting.seed + 1)
    width = setting.width
    sizes = [width * width, width, width, width, 1]  # recurrent, input, bias, read-out, its bias
    scales = [GAIN / width**0.5, 1.0, 0.0, width**-0.5, 0.0]
    drawn = [
        scale * torch.randn(setting.nets, size, generator=generator) for size, scale in zip(sizes, scales, strict=True)
    ]
    starts = torch.cat(drawn, 1).repeat(len(RATES), 1)
    rates = [rate for rate in RATES for _ in range(setting.nets)]
    seed = setting.seed + 2

    def loss(parameters: Tensor, step: int) -> Tensor:
        x, y = _sequences(setting.batch, setting.length, torch.Generator().manual_seed(100_000 * seed + step))
        return (_last_output(parameters, x, sizes) - y).square().mean(1)

    trained = descend_together(starts, rates, loss, steps=setting.steps, limit=limit).places[-1]
    x, y = _sequences(1000, setting.length, generator)
    errors = (_last_output(trained, x, sizes) - y).square().mean(1) / y.var()
    return errors.reshape(len(RATES), setting.nets).double().numpy()


def _sequences(count: int, length: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    x = torch.randn(count, length, generator=generator)
    return x, torch.sin(1.5 * x.sum(1) / length**0.5)


def _last_output(parameters: Tensor, x: Tensor, sizes: list[int]) -> Tensor:
    """Outputs of h_t = tanh(W h_{t−1} + u x_t + a) after the last input, shape (nets, batch)."""
    recurrent, enter, bias, leave, shift = parameters.split(sizes, 1)
    W = recurrent.reshape(len(parameters), sizes[1], sizes[1]).transpose(1, 2)
    h = parameters.new_zeros(len(parameters), len(x), sizes[1])
    for value in x.unbind(1):
        h = torch.tanh(torch.baddbmm(value[:, None] * enter[:, None] + bias[:, None], h, W))
    return (h @ leave[:, :, None]).squeeze(2) + shift


def check(measured: Measured) -> list[Check]:
    arrived, error = mean_and_error(measured.bottom, 1)
    survived = measured.survived[:, LARGE:].reshape(2, -1)
    share, spread = mean_and_error(survived, 1)
    wall = _wall(torch.tensor(SCANNED, dtype=torch.float64)).numpy()
    why = "“survives” is nine in ten at least"
    broken = "“breaks” is a quarter at least: “occasionally”, and yet no accident"
    rounding = "rounding in float64"
    name = f"at rates {' and '.join(f'{rate:g}' for rate in RATES[LARGE:])}: share of small nets better than a guess"
    return [
        Check("cliff, clipped: share at the bottom", arrived[1], "at_least", 0.9, 0.0, "claim", why, error=error[1]),
        Check("cliff, plain: share at the bottom", arrived[0], "at_most", 0.75, 0.0, "claim", broken, error=error[0]),
        Check(f"clipped, {name}", share[1], "at_least", 0.9, 0.0, "claim", why, error=spread[1]),
        Check(f"plain, {name}", share[0], "at_most", 0.75, 0.0, "claim", broken, error=spread[0]),
        Check("longest clipped step over ηc", measured.longest, "at_most", 1.0, 1e-6, "theory", rounding),
        Check("(3, 4) clipped at 1", measured.rescaled, "equals", [0.6, 0.8], 1e-6, "theory", "float32"),
        Check(
            "where there is no cliff, both ways apart", measured.apart, "equals", 0.0, 0.0, "theory", "clipping rests"
        ),
        Check(
            "steepest place: b",
            measured.wall,
            "equals",
            wall,
            0.005,
            "theory",
            "absolute: the wall is (w σ'(½))^−50 wide in x_0, below 1e-3, and 1/w of that in b",
            absolute=True,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    w = torch.linspace(4.2, 6.2, 50, dtype=torch.float64)
    valley = math.log(GOAL / (1 - GOAL)) - GOAL * w
    axes.plot(_wall(w), w, label="theory: the wall")
    axes.plot(valley[valley >= _wall(w)], w[valley >= _wall(w)], label="theory: the bottom, loss 0")
    plain, clipped = with_cause.paths
    axes.plot(clipped[:, 1], clipped[:, 0], ".", label="clipped")
    axes.plot(plain[:, 1], plain[:, 0], "x", label="plain (then off the picture)")
    axes.plot(*plain[0, ::-1], "D", label="start")
    axes.set(xlabel="bias b", ylabel="weight w", xlim=(-4, -1), ylim=(3.5, 6.2))
