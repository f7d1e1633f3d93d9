"""R01: a deeper plain net has a higher training error; a deeper residual net has not.

A net of 56 layers can do all that one of 20 layers can (its other 36 would have to be the identity), so that its lowest
training error is no higher: F*_56 ≤ F*_20. He et al. nevertheless measured a higher one for plain nets, with batch
normalization, and a lower one for residual nets, whose blocks y = relu(x + F(x)) add the input x to what they compute.
Both kinds have the same layers and the same number of parameters. Published for CIFAR-10, test error in %: ResNet-20
8.75, ResNet-56 6.97; plain nets only as curves. Theory says no number for trained nets: what is tested is the order.

The quick setting asks for the training loss that each of the four nets reaches on few small pictures in equally many
steps, each at the best rate of one grid: convergence is part of what it sees, as it is of the published curves.
"Has not a higher one" is read as: of the loss that the plain net gets from the 36 layers, the residual net gets less
than a quarter, so that three quarters of it at least are the missing shortcuts' doing. A bound of 0 would be literal,
but where both residual nets come to fit the pictures noise would decide: with seed 0 the plain gap was 1.79 ± 0.11
nats and the residual one 0.13 ± 0.07. That ResNet-56 gets below ResNet-20, as published, the quick setting does not
show.

Decks: T
Control: the plain nets are given shortcuts.
Source: He et al. 2016, §4.2, Fig. 6 and Table 6, arXiv:1512.03385.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trainwell.lab.descent import descend, mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.nn import plain20, plain56, resnet20, resnet56

Array = NDArray[np.float64]
FORMULA = r"""
\mathrm{plain}:\ y = \mathrm{relu}(F(x)) \qquad \mathrm{residual}:\ y = \mathrm{relu}(F(x) + x)
F^*_{56} \leq F^*_{20}
"""
CLASSES = 10
NETS = {"plain-20": plain20, "plain-56": plain56, "ResNet-20": resnet20, "ResNet-56": resnet56}
PARAMETERS = {20: 269_722, 56: 853_018}  # at 16 channels, of both kinds
RATES = (0.03, 0.1)
SHARE = 0.25  # of the plain nets' gap
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # of the full setting


@dataclass(frozen=True)
class Setting:
    nets: int  # the first of them is trained at every rate, and chooses it
    pictures: int
    steps: int
    last: int  # batches over which the final loss is averaged
    width: int
    shrink: int
    batch: int
    momentum: float = 0.9
    decay: float = 1e-4
    device: str = "cpu"
    seed: int = 0


QUICK = Setting(nets=3, pictures=128, steps=100, last=20, width=16, shrink=4, batch=32)
# The published nets and pictures; the rate stays constant, and pictures are neither flipped nor cropped.
FULL = Setting(nets=3, pictures=45_000, steps=16000, last=390, width=16, shrink=1, batch=128, device=DEVICE)


@dataclass(frozen=True)
class Measured:
    """Training losses of the batches, shape (nets, steps), and parameters at 16 channels, of each kind of net."""

    losses: dict[str, Array]
    parameters: Array  # of NETS
    last: int


def measure(setting: Setting, cause: bool) -> Measured:
    kinds = {name: name if cause else name.replace("plain", "ResNet") for name in NETS}
    return Measured({name: _at_best_rate(kind, setting) for name, kind in kinds.items()}, _parameters(), setting.last)


@cache  # the control has nothing but nets that were trained with the cause too
def _at_best_rate(kind: str, setting: Setting) -> Array:
    first = [_trained(kind, rate, 0, setting) for rate in RATES]
    best = int(np.argmin([losses[-setting.last :].mean() for losses in first]))
    others = [_trained(kind, RATES[best], number, setting) for number in range(1, setting.nets)]
    return np.array([first[best], *others])


def _trained(kind: str, rate: float, number: int, setting: Setting) -> Array:
    """The loss of every batch; infinite from where it is not finite."""
    pictures = labelled_pictures("cifar10", setting.pictures, CLASSES, setting.seed, shrink=setting.shrink)
    seed = 1000 * setting.seed + number
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = NETS[kind](tuple(pictures.X.shape[1:]), CLASSES, width=setting.width).to(setting.device)
    found = descend(
        net,
        pictures.X.to(setting.device),
        pictures.y.to(setting.device),
        rate=rate,
        steps=setting.steps,
        batch=setting.batch,
        generator=torch.Generator().manual_seed(seed),
        momentum=setting.momentum,
        decay=setting.decay,
    )
    losses = np.full(setting.steps, np.inf)
    losses[: len(found)] = np.nan_to_num(found, nan=np.inf)
    return losses


@cache
def _parameters() -> Array:
    nets = [make((3, 32, 32), CLASSES) for make in NETS.values()]
    return np.array([sum(parameter.numel() for parameter in net.parameters()) for net in nets], float)


def check(measured: Measured) -> list[Check]:
    final = {name: losses[:, -measured.last :].mean(1) for name, losses in measured.losses.items()}
    plain, plain_error = mean_and_error(final["plain-56"] - final["plain-20"])
    residual, residual_error = mean_and_error(final["ResNet-56"] - final["ResNet-20"])
    counted = np.array([PARAMETERS[int(name[-2:])] for name in NETS])
    return [
        Check(
            "plain-56's training loss less plain-20's",
            plain,
            "at_least",
            4 * plain_error,
            0.0,
            "claim",
            "the published order, beyond four standard errors",
            error=plain_error,
        ),
        Check(
            f"ResNet-56's training loss less ResNet-20's, less {SHARE:g} of that",
            residual - SHARE * plain,
            "at_most",
            0.0,
            0.0,
            "claim",
            "less than a quarter of what the plain nets show",
            error=np.hypot(residual_error, SHARE * plain_error),
        ),
        Check("parameters at 16 channels", measured.parameters, "equals", counted, 0.0, "theory", "counted"),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    steps = with_cause.losses["plain-20"].shape[1]
    width = max(1, steps // 12)
    for (name, losses), mark in zip(with_cause.losses.items(), "so^v", strict=True):
        blocks = steps // width
        curve = losses[:, : blocks * width].mean(0).reshape(blocks, width).mean(1)
        label = f"{name} (also the control)" if name.startswith("ResNet") else name
        axes.plot(width * (np.arange(blocks) + 1), curve, f"{mark}-", ms=4, label=label)
    axes.plot([0, steps], [np.log(CLASSES)] * 2, label="theory: guessing, ln 10")
    axes.set(xlabel="steps", ylabel="training loss, nats")
