"""N10: with every convolution frozen at its random start, training only γ and β of batch normalization goes far.

Batch normalization (BN) ends in γ x̂ + β, two numbers a channel; here they alone are trained, and the convolutions and
the last layer stay random. Of a residual net of 6n + 2 layers with w channels in its first stage, 2w and 4w in the next
two, they are 2 (w + 2n (w + 2w + 4w)) = (2 + 28n) w: 1376 of the 269 722 parameters of ResNet-20 (n = 3, w = 16). They
choose and mix random features. "Far" is here: at least twice the accuracy of guessing; what is published for 866 layers
is 82 % on CIFAR-10 (from memory), beyond any quick run. The figure has the last layer alone too, which with 40w + 10
parameters for ten classes has a third more here, and all parameters.

Decks: K
Control: γ and β frozen too; only the running moments see the data.
Source: Frankle, Schwab & Morcos 2021, arXiv:2003.00152.
"""

import functools
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.many_nets import ManyNets, best_rate
from trainwell.lab.signal.random_net import Array
from trainwell.nn import resnet20, train_only_norms_

FORMULA = r"""
y = \gamma\, \mathrm{BN}(W x) + \beta, \quad W\ \mathrm{random}, \quad \gamma, \beta\ \mathrm{trained}
(2 + 28 n)\, w\ \ \mathrm{parameters\ of}\ 6n + 2\ \mathrm{layers}
"""
Trained = Literal["norms", "last", "all"]
CLASSES = 10
RATES = (0.01, 0.1, 1.0)  # with momentum 0.9, as published
LAST = 20  # steps whose mean training loss chooses the rate


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    tested: int
    shrink: int  # pixels of a side averaged into one
    nets: int
    blocks: int  # n
    width: int  # w
    steps: int
    batch: int = 64
    seed: int = 0


QUICK = Setting("digits", pictures=1200, tested=359, shrink=1, nets=3, blocks=1, width=8, steps=100, batch=32)
FULL = Setting("cifar10", 40_000, 10_000, shrink=1, nets=2, blocks=3, width=16, steps=3000, batch=128)


@dataclass(frozen=True)
class Arm:
    """What was trained, at its best rate."""

    accuracy: Array  # shape (nets,)
    parameters: int  # trained


@dataclass(frozen=True)
class Measured:
    """What one run gives; γ and β stay as they are in the control."""

    norms: Arm
    last: Arm
    all: Arm
    predicted: int  # parameters of the norms
    published: tuple[int, int]  # of ResNet-20's norms, and all of it


def measure(setting: Setting, cause: bool) -> Measured:
    norms = _arm(setting, "norms", RATES if cause else (0.0,))
    last, all_ = (_arm(setting, trained, RATES) for trained in ("last", "all"))
    net = resnet20((3, 32, 32), CLASSES)
    total = _trained(net)
    train_only_norms_(net)
    return Measured(norms, last, all_, (2 + 28 * setting.blocks) * setting.width, (_trained(net), total))


@functools.cache  # two of three are the same with the cause and without
def _arm(setting: Setting, trained: Trained, rates: tuple[float, ...]) -> Arm:
    p = labelled_pictures(setting.data, setting.pictures, setting.tested, setting.seed, shrink=setting.shrink)
    with torch.random.fork_rng([]):
        torch.manual_seed(setting.seed)
        nets = [_net(setting, p.X.shape[1:], trained) for _ in range(setting.nets)]
    together = ManyNets(nets * len(rates))
    losses = together.descend(
        p.X,
        p.y,
        rates=torch.tensor(rates).repeat_interleave(setting.nets),
        steps=setting.steps,
        batch=setting.batch,
        generator=torch.Generator().manual_seed(setting.seed),
        momentum=0.9,
    )
    shares = together.accuracies(p.X_test, p.y_test).double().unflatten(0, (len(rates), -1))
    return Arm(shares[best_rate(losses, len(rates), LAST)].numpy(), _trained(nets[0]))


def _net(setting: Setting, inputs: torch.Size, trained: Trained) -> nn.Module:
    net = resnet20(tuple(inputs), CLASSES, blocks=setting.blocks, width=setting.width, identity_start=False)
    if trained == "norms":
        train_only_norms_(net)
    elif trained == "last":
        net.requires_grad_(False)
        next(layer for layer in net.modules() if isinstance(layer, nn.Linear)).requires_grad_(True)
    return net


def _trained(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def check(measured: Measured) -> list[Check]:
    m = measured
    share, error = mean_and_error(m.norms.accuracy)
    exact = "they are counted"
    return [
        Check(
            "γ and β alone: share of right test pictures",
            share,
            "at_least",
            2 / CLASSES,
            0.0,
            "claim",
            "twice what guessing gives",
            error=error,
        ),
        Check("parameters of γ and β", m.norms.parameters, "equals", m.predicted, 0.0, "theory", exact),
        Check("of ResNet-20: γ and β, all", m.published, "equals", (1376, 269_722), 0.0, "theory", exact),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    arms = (
        ("γ and β alone", with_cause.norms, "o"),
        ("last layer alone", with_cause.last, "^"),
        ("all", with_cause.all, "v"),
        ("control: nothing trained", control.norms, "s"),
    )
    for label, arm, mark in arms:
        mean, error = mean_and_error(arm.accuracy)
        axes.errorbar(arm.parameters, mean, error, fmt=mark, label=f"{label}, mean of {len(arm.accuracy)} nets")
    axes.axhline(1 / CLASSES, ls=":", label="chance")
    axes.axhline(2 / CLASSES, ls="--", label="twice chance")
    axes.set(
        xlabel="parameters that are trained (the control's would be)",
        ylabel="right test pictures, share",
        xscale="log",
    )
