"""R04: where a residual block changes the dimension, a linear projection on the shortcut works, and so does pooling.

y = x + F(x) needs F(x) to have the shape of x. Where it has not, the block's shortcut is a 1×1 convolution W_s of
stride 2, or x is averaged over squares of 2×2 pixels and filled up with channels of zeros, which costs no parameters
(nor does padding every second pixel, He et al.'s first choice). ResNet-20 for CIFAR-10 has 269 722 parameters with
padding or pooling and 272 474 with projections. Published ImageNet errors of ResNet-34 are 25.03 % with padding,
24.52 % with projections where needed and 24.19 % with projections everywhere: they differ little.

"Works" is read as: the test accuracy is at least three times that of guessing, and the two differ by no more than five
points. A block without any shortcut cannot be crossed: every branch starts at zero (the scale of its last
normalization), so that the block gives relu(0) = 0 whatever it reads; relu'(0) = 0 keeps it there, and the net guesses
for ever.

Decks: T
Control: the shortcut is taken out of the two blocks that change the dimension.
Source: He et al. 2016, §3.3 and Table 3, arXiv:1512.03385; average pooling: He et al. 2019, §4, arXiv:1812.01187.
"""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from trainwell.lab.descent import accuracy, descend, mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.nn import BasicBlock, resnet20

Array = NDArray[np.float64]
FORMULA = r"""
y = F(x) + W_s x \qquad \mathrm{or} \qquad y = F(x) + \mathrm{pool}(x)
"""
KINDS = ("projection", "pool")
PARAMETERS = {"projection": 272_474, "pool": 269_722}  # of ResNet-20, 3 channels, 10 classes
CLASSES = 10
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"  # of the full setting
LAST = 20  # batches over which a training loss is averaged


@dataclass(frozen=True)
class Setting:
    nets: int
    pictures: int
    steps: int
    blocks: int  # of each stage: 6 · blocks + 2 layers
    width: int
    shrink: int
    test: int
    rate: float = 0.1
    momentum: float = 0.9
    batch: int = 64
    device: str = "cpu"
    seed: int = 0


QUICK = Setting(nets=4, pictures=4000, steps=200, blocks=1, width=8, shrink=4, test=2000)
# The published net and pictures; the rate stays constant, and pictures are neither flipped nor cropped.
FULL = Setting(nets=3, pictures=45_000, steps=16000, blocks=3, width=16, shrink=1, test=10000, batch=128, device=DEVICE)


@dataclass(frozen=True)
class Measured:
    """What one run gives, for each kind of shortcut."""

    accuracy: Array  # of each net on test pictures, shape (kinds, nets)
    curves: Array  # training loss of each batch, mean over the nets, shape (kinds, steps)
    parameters: Array  # of ResNet-20


class Nothing(nn.Module):
    """A block without shortcut: zeros of the shape that the one before gave."""

    def __init__(self, shortcut: nn.Module) -> None:
        super().__init__()
        self.shape_of = shortcut

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(self.shape_of(x))


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures("cifar10", setting.pictures, setting.test, setting.seed, shrink=setting.shrink)
    X, y, X_test, y_test = (
        part.to(setting.device) for part in (pictures.X, pictures.y, pictures.X_test, pictures.y_test)
    )
    right = np.empty((len(KINDS), setting.nets))
    curves = np.empty((len(KINDS), setting.nets, setting.steps))
    for place, kind in enumerate(KINDS):
        for number in range(setting.nets):
            net = _net(kind, tuple(X.shape[1:]), setting, number)
            if not cause:
                _take_out(net)
            net.to(setting.device)
            curves[place, number] = descend(
                net,
                X,
                y,
                rate=setting.rate,
                steps=setting.steps,
                batch=setting.batch,
                generator=torch.Generator().manual_seed(1000 * setting.seed + number),
                momentum=setting.momentum,
            )
            right[place, number] = accuracy(net, X_test, y_test)
    return Measured(right, curves.mean(1), np.array([_count(kind) for kind in KINDS]))


def _net(kind: str, inputs: tuple[int, ...], setting: Setting, number: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1000 * setting.seed + number)
        return resnet20(inputs, CLASSES, width=setting.width, blocks=setting.blocks, shortcut=kind)


def _take_out(net: nn.Module) -> None:
    """Leave the blocks that change the dimension without shortcut."""
    for block in net.modules():
        if isinstance(block, BasicBlock) and not isinstance(block.shortcut, nn.Identity):
            block.shortcut = Nothing(block.shortcut)


@cache
def _count(kind: str) -> int:
    return sum(parameter.numel() for parameter in resnet20((3, 32, 32), CLASSES, shortcut=kind).parameters())


def check(measured: Measured) -> list[Check]:
    mean, error = mean_and_error(measured.accuracy, axis=1)
    gap, gap_error = mean_and_error(measured.accuracy[0] - measured.accuracy[1])
    guessing = "three times guessing: the bound of this experiment"
    return [
        Check(f"test accuracy: {', '.join(KINDS)}", mean, "at_least", 3 / CLASSES, 0.0, "claim", guessing, error=error),
        Check(
            "test accuracy: projection less pooling",
            gap,
            "equals",
            0.0,
            0.05,
            "claim",
            "absolute: five points; published ones differ by one",
            absolute=True,
            error=gap_error,
        ),
        Check(
            f"parameters of ResNet-20: {', '.join(KINDS)}",
            measured.parameters,
            "equals",
            np.array([PARAMETERS[kind] for kind in KINDS]),
            0.0,
            "theory",
            "counted",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    steps = with_cause.curves.shape[1] // LAST * LAST
    at = np.arange(LAST, steps + 1, LAST)
    for run, marks, ending in ((with_cause, "o^", ""), (control, "ss", ", taken out (control)")):
        smooth = run.curves[:, :steps].reshape(len(KINDS), -1, LAST).mean(2)
        for curve, right, kind, mark in zip(smooth, run.accuracy.mean(1), KINDS, marks, strict=True):
            axes.plot(at, curve, f"{mark}-", ms=4, label=f"{kind}{ending}: {100 * right:.0f} % right")
            if ending:
                break  # they are all the same
    axes.plot(at, np.full(len(at), np.log(CLASSES)), label="theory: guessing, ln 10")
    axes.set(xlabel="steps", ylabel="training loss, nats")
