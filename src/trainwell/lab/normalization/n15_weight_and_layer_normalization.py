"""N15: weight normalization decouples length from direction, and layer normalization suits recurrent nets.

Weight normalization writes every unit's weights as w = g v/‖v‖ and trains g, the length, and v, the direction:

    ∂L/∂g = v · ∇_w L/‖v‖,    ∇_v L = (g/‖v‖)(I − v vᵀ/‖v‖²) ∇_w L,

so that ∇_v L stands at right angles to v, and a step of plain gradient descent with rate η gives exactly
‖v‖² → ‖v‖² + η² ‖∇_v L‖². Layer normalization takes mean and variance over the units of one sequence at one time, and
so does not care how long sequences are. Batch normalization needs them for every time: late times are reached by few
sequences of a batch, and beyond the longest training sequence there are none. Here a net must remember a sequence's
first symbol; in training most sequences are short, and it is tested on sequences twice as long as the longest.

That long training sequences are rare is what this hangs on: with lengths drawn uniformly and batches of 32, BN mostly
worked well at twice the length too, with the last time's moments held beyond it. Batches of 16 and half of the lengths
in the lowest eighth of their range leave the moments of late times to few sequences, and BN fails there.

Decks: K M
Control: free weights in place of g and v; sequences of one length, in training as in the test.
Source: Salimans & Kingma 2016, eqs. 2-3, arXiv:1602.07868; Ba, Kiros & Hinton 2016, §3.1, arXiv:1607.06450.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.many_nets import ManyNets
from trainwell.lab.normalization.sequences_of_any_length import (
    FEATURES,
    BatchNormRnn,
    LayerNormRnn,
    ReadAtEnd,
    sequences,
)
from trainwell.lab.signal.random_net import Array
from trainwell.nn import parametrize_

FORMULA = r"""
w = g\,v/\|v\|: \quad \nabla_v L = \frac{g}{\|v\|}\,(I - \frac{v v^T}{\|v\|^2})\,\nabla_w L \perp v
\|v_{t+1}\|^2 = \|v_t\|^2 + \eta^2\,\|\nabla_v L\|^2
"""
RATES = (0.1, 0.3)
POINTS = 0.1  # of accuracy: what is called better, and what is called lost


@dataclass(frozen=True)
class Setting:
    nets: int
    steps: int
    longest: int = 16
    width: int = 32
    batch: int = 16
    samples: int = 2000
    tested: int = 500
    seed: int = 0


QUICK = Setting(nets=12, steps=200)
FULL = Setting(nets=20, steps=3000, longest=64, width=128, batch=32, samples=50_000, tested=2000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; accuracies have shape (lengths, nets)."""

    cosine: float  # largest |cos| between a unit's v and its gradient
    growth: float  # largest relative error of ‖v_{t+1}‖² = ‖v_t‖² + η²‖∇‖²
    formulas: float  # largest error of the two gradients' formulas, relative to the largest gradient; 0 without g
    lengths: tuple[int, ...]  # of the tested sequences
    layer: Array
    batch: Array
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    shortest = 2 if cause else setting.longest
    lengths = tuple(setting.longest * factor for factor in ((1, 2, 4) if cause else (1, 1, 1)))
    layer, batch = (_accuracies(setting, kind, shortest, lengths) for kind in ("layer", "batch"))
    cosine, growth, formulas = _one_step(setting.seed, cause)
    return Measured(cosine, growth, formulas, lengths, layer, batch, setting)


def _accuracies(setting: Setting, kind: str, shortest: int, lengths: tuple[int, ...]) -> Array:
    """Shares of right symbols, at the rate of the best mean at the second length; shape (lengths, nets)."""
    generator = torch.Generator().manual_seed(setting.seed)
    train = sequences(setting.samples, shortest, setting.longest, generator)
    tests = [sequences(setting.tested, length, length, generator) for length in lengths]
    with torch.random.fork_rng([]):
        torch.manual_seed(setting.seed)
        nets = [_net(setting, kind) for _ in range(setting.nets)]
    together = ManyNets(nets * len(RATES))
    rates = torch.tensor(RATES).repeat_interleave(setting.nets)
    together.descend(train.X, train.y, rates=rates, steps=setting.steps, batch=setting.batch, generator=generator)
    shares = torch.stack([together.accuracies(test.X, test.y) for test in tests]).unflatten(1, (len(RATES), -1))
    return shares[:, int(shares[1].mean(1).argmax())].double().numpy()


def _net(setting: Setting, kind: str) -> nn.Module:
    if kind == "layer":
        return ReadAtEnd(LayerNormRnn(FEATURES, setting.width), setting.width)
    return ReadAtEnd(BatchNormRnn(FEATURES, setting.width, setting.longest), setting.width)


def _one_step(seed: int, cause: bool, rate: float = 0.1) -> tuple[float, float, float]:
    """The three errors of one step of a small float64 net, the largest over layers and units."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 10)).double()
        X, y = torch.randn(64, 20, dtype=torch.float64), torch.randint(10, (64,))
    free = {name: p.detach().clone() for name, p in net.named_parameters()}
    if cause:
        parametrize_(net, "weight_norm")
    cross_entropy(net(X), y).backward()
    errors = []
    for place in ("0", "2", "4"):
        layer: Any = net.get_submodule(place)
        direction = layer.parametrizations.weight.original1 if cause else layer.weight
        v, gradient = direction.detach(), direction.grad
        after = (v - rate * gradient).square().sum(1)
        predicted = v.square().sum(1) + rate**2 * gradient.square().sum(1)
        cosine = (v * gradient).sum(1) / (v.norm(dim=1) * gradient.norm(dim=1))
        formulas = _formula_error(net, layer, place, free, X, y) if cause else 0.0
        errors.append((float(cosine.abs().max()), float((after / predicted - 1).abs().max()), formulas))
    cosine_error, growth, formula = (max(each) for each in zip(*errors, strict=True))
    return cosine_error, growth, formula


def _formula_error(net: nn.Module, layer: Any, place: str, free: dict[str, Tensor], X: Tensor, y: Tensor) -> float:
    """Of ∂L/∂g and ∇_v L by the formulas from ∇_w L, which is taken in the net of free weights."""
    plain = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 30), nn.Tanh(), nn.Linear(30, 10)).double()
    plain.load_state_dict(free)
    (slope,) = torch.autograd.grad(cross_entropy(plain(X), y), [plain.get_parameter(f"{place}.weight")])
    parts = layer.parametrizations.weight
    g, v = parts.original0.detach(), parts.original1.detach()
    length = v.norm(dim=1, keepdim=True)
    along = (slope * v).sum(1, keepdim=True) / length
    across = g / length * (slope - along * v / length)
    off = max(float((along - parts.original0.grad).abs().max()), float((across - parts.original1.grad).abs().max()))
    return off / float(slope.abs().max())


def check(measured: Measured) -> list[Check]:
    m = measured
    better, error = mean_and_error(m.layer[1] - m.batch[1])
    lost, lost_error = mean_and_error(m.layer[0] - m.layer[1])
    exact = "float64 algebra; absolute"
    return [
        Check("|cos| of v and its gradient", m.cosine, "equals", 0.0, 1e-12, "claim", exact, absolute=True),
        Check(
            f"length {m.lengths[1]}: accuracy, layer less batch normalization",
            better,
            "at_least",
            POINTS,
            0.0,
            "claim",
            "ten points of a hundred",
            error=error,
        ),
        Check(
            f"layer normalization: accuracy lost from length {m.lengths[0]} to {m.lengths[1]}",
            lost,
            "at_most",
            POINTS,
            0.0,
            "claim",
            "ten points of a hundred",
            error=lost_error,
        ),
        Check("‖v‖² after a step over its prediction, less 1", m.growth, "equals", 0.0, 1e-12, "theory", exact),
        Check("∂L/∂g and ∇_v L, error of their formulas", m.formulas, "equals", 0.0, 1e-12, "theory", exact),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    ticks = [*with_cause.lengths, f"only {control.lengths[0]}\n(control)"]
    places = np.arange(len(ticks))
    for name, mark, shift in (("layer", "o", -0.08), ("batch", "^", 0.08)):
        runs = np.concatenate([getattr(with_cause, name), getattr(control, name)[:1]])
        mean, error = mean_and_error(runs, axis=1)
        axes.errorbar(
            places + shift, mean, error, fmt=mark, label=f"{name} normalization, mean of {runs.shape[1]} nets"
        )
    axes.axhline(0.25, ls="--", label="chance")
    axes.set(xlabel="length of the tested sequences", ylabel="share of right answers", ylim=(0, 1.05))
    axes.set_xticks(places, [str(tick) for tick in ticks])
