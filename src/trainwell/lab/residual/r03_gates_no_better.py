"""R03: gates that choose between a layer and its input (highway networks) are no better than plain shortcuts.

A highway layer is y = T(x) ⊙ H(x) + (1 − T(x)) ⊙ x with T = sigmoid(W_T x + b_T) and H = relu(W x); a residual block
is y = x + V relu(W x). Of its shortcut's route a residual net passes all, whatever its depth. L highway layers pass the
product of L factors 1 − T. With W_T random of mean 0 and b_T = 0 its mean is 2^(−L) exactly: sigmoid(z) and
1 − sigmoid(z) = sigmoid(−z) have the same mean, and W_T of a layer knows nothing of the layers before. For b_T < 0 it
is at most (1 − sigmoid(b_T))^L, as sigmoid(b + z) + sigmoid(b − z) ≥ 2 sigmoid(b) for b < 0: for 20 layers at most
0.2 % at b_T = −1 and 38 % at −3. So gates can do as well only where they start nearly closed, and they cost a second
matrix in every layer.

No theory says who wins once both are trained. "No better" is read as: at equal depth and width, each with the best rate
of one grid, and the gates with the better of b_T = 0 and −3, all by the training loss at the end, gates lead by no more
than two points of test accuracy, which is by how much the published shortcuts lead (ResNet-110 on CIFAR-10: 6.61 %
error with shortcuts, 8.70 % with exclusive gates at their best b_T). At a good rate a net may diverge now and then, and
that is not what the claim is about: the training loss is the one that three nets in four reach, and nets that end no
better than guessing are left out of the accuracy.

Decks: T
Control: the shortcuts are taken out of the net that the gates are compared with.
Source: Srivastava, Greff & Schmidhuber 2015, arXiv:1505.00387; He et al. 2016b, Table 1, arXiv:1603.05027.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.many_nets import ManyNets
from trainwell.nn import HighwayLayer, highway, mlp, plain_mlp

Array = NDArray[np.float64]
FORMULA = r"""
\mathrm{gates}:\ y = T(x) \odot H(x) + (1 - T(x)) \odot x, \quad T(x) = \mathrm{sigmoid}(W_T x + b_T)
\mathrm{shortcut}:\ y = x + V\, \mathrm{relu}(W x)
b_T = 0:\ \mathrm{E} \prod_{l=1}^{L} (1 - T_l) = 2^{-L}
"""
RATES = (0.03, 0.1, 0.3)
BIASES = (0.0, -3.0)  # half open, and the lower end of the published range, which suits deep nets
BETTER = 0.02  # test accuracy
LAST = 50  # batches over which a training loss is averaged
CLASSES = 10


@dataclass(frozen=True)
class Setting:
    nets: int  # at each rate and b_T
    data: str
    pictures: int
    test: int
    steps: int
    depth: int
    width: int
    batch: int = 32
    fresh: int = 100  # nets for the route's share at the start
    seed: int = 0


QUICK = Setting(nets=6, data="digits", pictures=1258, test=359, steps=500, depth=20, width=16)
FULL = Setting(nets=5, data="mnist", pictures=55000, test=10000, steps=10000, depth=50, width=50, batch=64)


@dataclass(frozen=True)
class Arm:
    """Nets of one kind at the best rate."""

    curve: Array  # training loss of each batch, median over the nets
    loss: float  # that three in four of them reach at the end: by it the rate was chosen
    accuracy: Array  # test accuracy of each net that learned something


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    gates: list[Arm]  # of BIASES
    other: Arm  # shortcuts, or no shortcuts
    passed: Array  # share that the route past the layers passes at the start, shape (biases, fresh nets)
    depth: int


def measure(setting: Setting, cause: bool) -> Measured:
    gates = [_arm(f"gates {bias}", setting) for bias in BIASES]
    return Measured(gates, _arm("shortcuts" if cause else "plain", setting), _passed(setting), setting.depth)


@cache  # the gates are the same with the cause and without
def _arm(kind: str, setting: Setting) -> Arm:
    pictures = labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        starts = [_net(kind, pictures.X.shape[1], setting) for _ in range(setting.nets)]
    nets = ManyNets(starts * len(RATES))  # the same starts at every rate
    losses = nets.descend(
        pictures.X,
        pictures.y,
        rates=torch.tensor(RATES).repeat_interleave(setting.nets),
        steps=setting.steps,
        batch=setting.batch,
        generator=torch.Generator().manual_seed(setting.seed),
    )
    curves = np.nan_to_num(losses.view(setting.steps, len(RATES), setting.nets).double().numpy(), nan=np.inf)
    ends = curves[-LAST:].mean(0)
    final = np.quantile(ends, 0.75, axis=1, method="inverted_cdf")  # the default method would mix in inf
    best = int(final.argmin())
    accuracy = nets.accuracies(pictures.X_test, pictures.y_test).view(len(RATES), setting.nets)[best]
    learned = ends[best] < np.log(CLASSES)
    return Arm(np.median(curves[:, best], axis=1), float(final[best]), accuracy.double().numpy()[learned])


def _net(kind: str, inputs: int, setting: Setting) -> nn.Module:
    """A net of ``depth`` layers between the first and the last one."""
    width, depth = setting.width, setting.depth
    if kind == "shortcuts":
        return mlp((inputs,), CLASSES, width=width, depth=depth // 2, activation="relu", norm="none", dropout=0.0)
    if kind == "plain":
        return plain_mlp((inputs,), CLASSES, width=width, depth=depth + 1)
    return highway((inputs,), CLASSES, width=width, depth=depth, gate_bias=float(kind.split()[1]))


@cache
@torch.no_grad()
def _passed(setting: Setting) -> Array:
    """Π (1 − T) over the layers of fresh nets, mean over units and 32 pictures."""
    pictures = labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat
    passed = np.empty((len(BIASES), setting.fresh))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        for place, bias in enumerate(BIASES):
            for number in range(setting.fresh):
                net = _net(f"gates {bias}", pictures.X.shape[1], setting)
                factors = list[Tensor]()
                for layer in net.modules():
                    if isinstance(layer, HighwayLayer):
                        layer.sigmoid.register_forward_hook(partial(_keep, factors))
                net(pictures.X[:32])
                passed[place, number] = float(torch.stack(factors).double().prod(0).mean())
    return passed


def _keep(factors: list[Tensor], gate: nn.Module, inputs: Sequence[Tensor], opened: Tensor) -> None:
    factors.append(1 - opened)


def best_gates(measured: Measured) -> int:
    """The place in BIASES where the training loss ends lowest."""
    return int(np.argmin([arm.loss for arm in measured.gates]))


def check(measured: Measured) -> list[Check]:
    best = best_gates(measured)
    (gates, gates_error), (other, other_error) = (
        mean_and_error(arm.accuracy) for arm in (measured.gates[best], measured.other)
    )
    passed, error = mean_and_error(measured.passed, axis=1)
    bound = (1 - 1 / (1 + np.exp(-np.array(BIASES)))) ** measured.depth
    spread = f"absolute: four standard errors of {measured.passed.shape[1]} nets"
    return [
        Check(
            f"test accuracy of gates (b_T = {BIASES[best]:g}) less that of the other nets",
            gates - other,
            "at_most",
            0.0,
            BETTER,
            "claim",
            "absolute: two points, the lead that shortcuts have over gates in the published table",
            absolute=True,
            error=float(np.hypot(gates_error, other_error)),
        ),
        Check(
            "b_T = 0: share of the route past the layers at the start",
            passed[0],
            "equals",
            bound[0],
            4 * float(error[0]),
            "theory",
            spread,
            absolute=True,
            error=float(error[0]),
        ),
        *(
            Check(f"b_T = {bias:g}: the same", value, "at_most", right, 4 * se, "theory", spread, True, se)
            for bias, value, right, se in zip(BIASES[1:], passed[1:], bound[1:], error[1:].tolist(), strict=True)
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    arms = {"plain shortcuts": with_cause.other}
    arms |= {f"gates, $b_T$ = {bias:g}": arm for bias, arm in zip(BIASES, with_cause.gates, strict=True)}
    arms["no shortcuts (control)"] = control.other
    for (name, arm), mark in zip(arms.items(), "o^vs", strict=True):
        blocks = len(arm.curve) // LAST
        points = arm.curve[: blocks * LAST].reshape(blocks, LAST).mean(1)
        right = 100 * arm.accuracy.mean()
        axes.plot(LAST * (np.arange(blocks) + 1), points, f"{mark}-", ms=4, label=f"{name}: {right:.0f} % right")
    axes.plot([0, len(with_cause.other.curve)], [np.log(CLASSES)] * 2, label="theory: guessing, ln 10")
    axes.set(xlabel="steps", ylabel="training loss, nats (median net)", yscale="log")
