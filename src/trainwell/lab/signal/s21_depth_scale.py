"""S21: how deep a net can be trained is decided by its weights' and biases' scale, and the input's strength counts too.

Weights N(0, σ_w²/d), biases N(0, σ_b²), tanh. The pre-activations' variance q comes to rest at q* = V(q*), V(q) =
σ_w² E tanh(√q z)² + σ_b²; there the gradient's second moment changes by χ = σ_w² E tanh'(√q* z)² a layer, and the
correlation of two inputs comes to rest like exp(−layers/ξ). At the edge of chaos, χ = 1, ξ is infinite. Nets of up to
about 6 ξ layers learn (the 6 is an observation): with less weight inputs become alike, with more they part and
gradients explode, like exp(layers · ln χ), which sets in before 6 ξ far from the edge.

The input's strength ‖x‖²/d, q before the first layer, lasts only until q is at rest, a few layers: with tanh and
biases there is nothing to tune. Only where every q is at rest, ReLU with σ_w² = 2 and σ_b = 0, is it kept. So in part.

Decks: T
Control: all nets at the edge of chaos; they learn at depths where the others do not.
Source: Poole et al. 2016, arXiv:1606.05340; Schoenholz et al. 2017, arXiv:1611.01232, §3–5 and Fig. 5.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import Pictures, labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.theory.mean_field import mean_field_at, variance_map
from trainwell.theory.phase_border import edge_of_chaos

FORMULA = r"""
q = \sigma_w^2\, E\,\tanh(\sqrt{q}\,z)^2 + \sigma_b^2, \quad \chi = \sigma_w^2\, E\,\tanh'(\sqrt{q}\,z)^2
\mathrm{trainable\ depth} \approx 6\,\xi, \quad \xi = -1/\ln\chi \ \mathrm{for}\ \chi < 1
"""
SIGMA_B = 0.05**0.5
EDGE = float(edge_of_chaos("tanh", SIGMA_B)) ** 2  # σ_w² where χ = 1
WEIGHTS = (0.3, 0.6, 0.85, 1.3, EDGE, 2.5, 4.0, 8.0)  # σ_w²
FACTOR, LEARNED = 6.0, 0.5
STRENGTHS = (0.25, 1.0, 4.0)  # ‖x‖²/d
LAYERS = 10  # of the random nets


@dataclass(frozen=True)
class Setting:
    width: int
    depths: tuple[int, ...]
    nets: int
    steps: int
    rates: tuple[float, ...]
    data: str = "digits"
    pictures: int = 500
    batch: int = 32
    wide: int = 250  # width of the random nets
    drawn: int = 256
    seed: int = 0


QUICK = Setting(width=64, depths=(4, 8, 16, 24, 32), nets=3, steps=150, rates=(0.02, 0.1))
FULL = Setting(300, (10, 20, 40, 60, 80, 120, 160, 240), 3, 2000, (0.001, 0.003, 0.01, 0.03), "mnist", 5000)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    depths: Array
    accuracy: Array  # on the training pictures at the best rate, shape (nets, σ_w², depths)
    variances: Array  # q of the layers of random tanh nets at the edge, shape (nets, strengths, layers)
    rectified: Array  # the same of ReLU
    units: int  # of a layer of all random nets


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.pictures, 0, setting.seed).flat
    weights = WEIGHTS if cause else (EDGE,)
    accuracy = np.stack([_trained(pictures, depth, weights, setting) for depth in setting.depths], axis=-1)
    every = np.broadcast_to(accuracy, (setting.nets, len(WEIGHTS), len(setting.depths)))
    return Measured(np.array(setting.depths), every, *_forward(setting), setting.wide * setting.drawn)


def _trained(pictures: Pictures, depth: int, weights: tuple[float, ...], setting: Setting) -> Array:
    """Train nets from the same random numbers for every σ_w² and rate; the best rate's accuracy, (nets, σ_w²)."""
    generator = torch.Generator().manual_seed(1000 * setting.seed + depth)
    arms, rates, width = len(weights), len(setting.rates), setting.width
    scales = torch.tensor(weights).sqrt().repeat_interleave(rates).repeat(setting.nets)[:, None, None]

    def drawn(rows: int, columns: int) -> Tensor:
        each = torch.randn(setting.nets, rows, columns, generator=generator)
        return each.repeat_interleave(arms * rates, 0)

    sizes = [pictures.X.shape[1]] + [width] * depth
    parameters = [scales * drawn(a, b) / a**0.5 for a, b in pairwise(sizes)]
    parameters += [SIGMA_B * drawn(1, width) for _ in range(depth)]
    parameters += [drawn(width, 10) / width**0.5, 0 * drawn(1, 10)]
    rate = torch.tensor(setting.rates).repeat(setting.nets * arms)[:, None, None]
    for parameter in parameters:
        parameter.requires_grad_()
    for _ in range(setting.steps):
        rows = torch.randint(len(pictures.X), (setting.batch,), generator=generator)
        logits = _logits(pictures.X[rows], parameters, depth)
        targets = pictures.y[rows].repeat(len(logits))
        loss = cross_entropy(logits.flatten(0, 1), targets, reduction="sum") / setting.batch
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
    with torch.no_grad():
        right = torch.cat([_logits(X, parameters, depth).argmax(-1) for X in pictures.X.split(500)], 1) == pictures.y
    return right.double().mean(1).reshape(setting.nets, arms, rates).amax(-1).numpy()


def _logits(X: Tensor, parameters: list[Tensor], depth: int) -> Tensor:
    h = X.expand(len(parameters[0]), *X.shape)  # every net reads the same pictures
    for weight, bias in zip(parameters[:depth], parameters[depth : 2 * depth], strict=True):
        h = torch.tanh(torch.baddbmm(bias, h, weight))
    return torch.baddbmm(parameters[-1], h, parameters[-2])


def _forward(setting: Setting) -> tuple[Array, Array]:
    """Mean square pre-activation of the layers of random nets, each (nets, strengths, layers): tanh, then ReLU."""
    generator = torch.Generator().manual_seed(setting.seed)
    found = np.empty((2, setting.drawn, len(STRENGTHS), LAYERS))
    for net in range(setting.drawn):
        x = torch.randn(setting.wide, generator=generator)
        x = x / x.square().mean().sqrt() * torch.tensor(STRENGTHS).sqrt()[:, None]
        signals = [x, x]
        for layer in range(LAYERS):
            weight = torch.randn(setting.wide, setting.wide, generator=generator) / setting.wide**0.5
            bias = SIGMA_B * torch.randn(setting.wide, generator=generator)
            sums = [EDGE**0.5 * signals[0] @ weight + bias, 2**0.5 * signals[1] @ weight]
            found[:, net, :, layer] = torch.stack([z.double().square().mean(1) for z in sums]).numpy()
            signals = [torch.tanh(sums[0]), torch.relu(sums[1])]
    return found[0], found[1]


def scale(weight: float) -> float:
    """ξ at σ_w², in layers."""
    return mean_field_at("tanh", weight**0.5, SIGMA_B).xi_c


def predicted() -> Array:
    """q of the layers at the edge for each strength, shape (strengths, layers)."""
    q = [EDGE * np.array(STRENGTHS) + SIGMA_B**2]
    for _ in range(LAYERS - 1):
        q.append(variance_map("tanh", q[-1], EDGE**0.5, SIGMA_B))
    return np.stack(q, axis=-1)


def check(measured: Measured) -> list[Check]:
    mean, error = mean_and_error(measured.accuracy)
    share = measured.depths / (FACTOR * np.array([scale(weight) for weight in WEIGHTS])[:, None])
    shallow, deep = share <= 0.5, share >= 2
    tanh, tanh_error = mean_and_error(measured.variances[:, -1, -1] / measured.variances[:, 0, -1])
    relu, relu_error = mean_and_error(measured.rectified[:, -1, -1] / measured.rectified[:, 0, -1])
    half = "halfway from chance to all; 6 is an empirical factor, taken to be right within a factor of two"
    lasting = "a quarter of the difference in strength"
    q, q_error = mean_and_error(measured.variances)
    spread = 4 * (3 / measured.units) ** 0.5
    times = STRENGTHS[-1] / STRENGTHS[0]
    return [
        Check(
            "accuracy of nets up to half of 6 ξ deep",
            mean[shallow],
            "at_least",
            LEARNED,
            0.0,
            "claim",
            half,
            error=error[shallow],
        ),
        Check(
            "accuracy of nets of twice 6 ξ and deeper",
            mean[deep],
            "at_most",
            LEARNED,
            0.0,
            "claim",
            half,
            error=error[deep],
        ),
        Check(
            "tanh: q_10, strongest over weakest input",
            tanh,
            "at_least",
            times / 4,
            0.0,
            "claim",
            lasting,
            error=tanh_error,
        ),
        Check(
            "ReLU: q_10, strongest over weakest input",
            relu,
            "at_least",
            times / 4,
            0.0,
            "claim",
            lasting,
            error=relu_error,
        ),
        Check(
            "tanh: q of every layer",
            q,
            "equals",
            predicted(),
            spread,
            "theory",
            f"four standard errors, √(2/(1 − V'²)/(width · nets)), V' ≈ ½: {100 * spread:.1f} %",
            error=q_error,
        ),
        Check(
            "ReLU: the same ratio",
            relu,
            "equals",
            times,
            1e-5,
            "theory",
            "exact: ReLU is homogeneous; rounding of 32 bits",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    grid = np.concatenate([np.linspace(0.25, EDGE - 0.02, 150), np.linspace(EDGE + 0.02, 8.5, 150)])
    points = [mean_field_at("tanh", weight**0.5, SIGMA_B) for weight in grid]
    axes.plot(grid, [FACTOR * point.xi_c for point in points], label="theory, 6 ξ")
    axes.plot(grid, [FACTOR / abs(np.log(point.chi)) for point in points], "--", label="gradient's, 6/|ln χ|")
    for measured, marks, name in ((with_cause, ("o", "x"), ""), (control, ("s", "+"), ", control")):
        learned = measured.accuracy.mean(0) >= LEARNED
        for which, mark, said in ((learned, marks[0], "learned"), (~learned, marks[1], "not learned")):
            places, depths = np.nonzero(which if measured is with_cause else which[:1])
            where = np.array(WEIGHTS)[places] if measured is with_cause else np.full(len(places), EDGE)
            if len(places):
                axes.plot(where, measured.depths[depths], mark, label=said + name)
    axes.set(xlabel="variance of the weights, σ_w²", ylabel="depth, layers", xscale="log", yscale="log")
    axes.set_ylim(measured.depths[0] / 1.3, 2 * measured.depths[-1])
