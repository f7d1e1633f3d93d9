"""N09: batch normalization with noise injected after it, which moves the distributions again, still trains well.

Batch normalization (BN) was first explained by "internal covariate shift": it holds mean and variance of every layer's
input still. Then undoing that must undo the gain. Noise after BN does: in each step t every channel draws a shift
m_t ~ U(−½, ½) and a factor s_t ~ U(1, 1.25), and each value jitter a, b ~ U(−0.1, 0.1) around them,

    y = (s_t + a) x̂ + m_t + b,    Var(mean of y over the batch) = 1/12 + (0.01/3)(1 + 1)/M from step to step,

M values a channel: no longer mean 0 and variance 1, and another distribution in each step. How far the moments move is
measured as the step-to-step change of a channel's mean (and of its standard deviation), over its standard deviation.
"Near" BN is here: nearer to BN's accuracy than to that without any normalization, so that the noise takes less than
half of BN's gain. It takes some: one to three points of accuracy here. Against the net without
normalization, the means move more and the standard deviations less, since s_t changes by 1/12 only; against BN both
move more. Tested without noise; each arm at the rate of one grid with the lowest training loss.

Decks: K
Control: the same noise without BN.
Source: Santurkar et al. 2018, §2.2 and appendix A, arXiv:1805.11604; its noise, from memory.
"""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.many_nets import ManyNets, best_rate
from trainwell.lab.normalization.small_convnets import convnets
from trainwell.lab.signal.random_net import Array
from trainwell.nn import NoisyBatchNorm

FORMULA = r"""
y = (s_t + a)\,\hat{x} + m_t + b, \quad s_t \sim U(1, \frac{5}{4}), \ \ m_t \sim U(-\frac{1}{2}, \frac{1}{2})
a, b \sim U(-\frac{1}{10}, \frac{1}{10}): \quad \mathrm{Var}\, \langle y \rangle = \frac{1}{12} + \frac{2}{300\, M}
"""
RATES = (0.1, 0.3, 1.0)
MOMENTUM = 0.02  # of the running moments: means of about 50 steps, since those of 10 would move with the noise
LAST = 20  # steps whose mean training loss chooses the rate
VALUES, CHANNELS = 32, 20_000  # of the noise's exact part


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    tested: int
    nets: int
    steps: int
    batch: int = 32
    widths: tuple[int, ...] = (12,) * 8
    strides: tuple[int, ...] = (2, 2, 1, 1, 1, 1, 1, 1)
    seed: int = 0


QUICK = Setting("digits", pictures=1250, tested=350, nets=5, steps=200)
FULL = Setting(
    "cifar10",
    40_000,
    10_000,
    nets=3,
    steps=6000,
    batch=128,
    widths=(64, 64, 128, 128, 256, 256, 256, 256, 512, 512, 512, 512),
    strides=(1, 1, 2, 1, 2, 1, 1, 1, 2, 1, 1, 1),
)


@dataclass(frozen=True)
class Arm:
    """A normalization at its best rate."""

    accuracy: Array  # shape (nets,)
    shift: Array  # step-to-step change of a channel's mean over its standard deviation, shape (nets,)
    spread: Array  # the same of the standard deviation


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    noisy: Arm  # in the control without batch normalization
    batch: Arm
    none: Arm
    wandering: float  # standard deviation between steps of a channel's mean after the layer of trainwell.nn


class Noise(nn.Module):
    """The noise of ``NoisyBatchNorm`` alone: y = (s_t + a) x + m_t + b in training."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        channel = x[:1, :, :1, :1].detach()
        factor, shift = 1 + torch.rand_like(channel) / 4, torch.rand_like(channel) - 0.5
        return (factor + 0.1 * (2 * torch.rand_like(x) - 1)) * x + shift + 0.1 * (2 * torch.rand_like(x) - 1)


class Watched(nn.Module):
    """A layer that keeps each channel's mean and standard deviation of its output in the last training batch."""

    mean: Tensor
    std: Tensor

    def __init__(self, layer: nn.Module, channels: int) -> None:
        super().__init__()
        self.layer = layer
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        if self.training:
            self.mean.copy_(y.detach().mean((0, 2, 3)))
            self.std.copy_(y.detach().var((0, 2, 3)).sqrt())
        return y


def measure(setting: Setting, cause: bool) -> Measured:
    noisy, batch, none = (_arm(setting, name) for name in ("noisy" if cause else "noise", "batch", "none"))
    return Measured(noisy, batch, none, _wandering(setting.seed))


@functools.cache  # two of three are the same with the cause and without
def _arm(setting: Setting, name: str) -> Arm:
    p = labelled_pictures(setting.data, setting.pictures, setting.tested, setting.seed)

    def watched(channels: int) -> nn.Module:
        layers = {
            "noisy": lambda: NoisyBatchNorm(channels, momentum=MOMENTUM),
            "batch": lambda: nn.BatchNorm2d(channels, momentum=MOMENTUM),
            "noise": Noise,
            "none": nn.Identity,
        }
        return Watched(layers[name](), channels)

    nets = convnets(
        setting.nets, p.X.shape[1], watched, widths=setting.widths, strides=setting.strides, seed=setting.seed
    )
    together = ManyNets(nets * len(RATES))
    moments: dict[str, list[Tensor]] = {"mean": [], "std": []}

    def watch(many: ManyNets) -> None:
        for kind, kept in moments.items():
            kept.append(torch.cat([b for place, b in many.buffers.items() if place.endswith("." + kind)], 1))

    with torch.random.fork_rng([]):
        torch.manual_seed(setting.seed)  # of the noise
        losses = together.descend(
            p.X,
            p.y,
            rates=torch.tensor(RATES).repeat_interleave(setting.nets),
            steps=setting.steps,
            batch=setting.batch,
            generator=torch.Generator().manual_seed(setting.seed),
            watch=watch,
        )
    best = best_rate(losses, len(RATES), LAST)
    chosen = slice(best * setting.nets, (best + 1) * setting.nets)
    mean, std = (torch.stack(kept)[:, chosen].double() for kept in moments.values())  # (steps, nets, channels)
    shift, spread = (each.diff(dim=0).abs() / std[1:].mean(0) for each in (mean, std))
    accuracies = together.accuracies(p.X_test, p.y_test)[chosen].double().numpy()
    return Arm(accuracies, *(each.mean((0, 2)).numpy() for each in (shift, spread)))


def _wandering(seed: int) -> float:
    """Of one batch of independent channels: each draws the noise of a step of its own."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        with torch.no_grad():
            return float(NoisyBatchNorm(CHANNELS, affine=False)(torch.randn(VALUES, CHANNELS)).mean(0).std())


def check(measured: Measured) -> list[Check]:
    noisy, batch, none = measured.noisy, measured.batch, measured.none
    differences = (
        ("accuracy, noisy less no normalization", noisy.accuracy - none.accuracy, "no worse than without"),
        (
            "accuracy, noisy less the middle of BN and none",
            noisy.accuracy - (batch.accuracy + none.accuracy) / 2,
            "nearer to BN than to none",
        ),
        ("moves of the mean, noisy less BN", noisy.shift - batch.shift, "the noise moves the moments"),
        ("moves of the std, noisy less BN", noisy.spread - batch.spread, "the noise moves the moments"),
        ("moves of the mean, noisy less none", noisy.shift - none.shift, "more than without normalization"),
    )
    claims = [(name, mean_and_error(values), reason) for name, values, reason in differences]
    return [
        *(Check(name, mean, "at_least", 0.0, 0.0, "claim", why, error=se) for name, (mean, se), why in claims),
        Check(
            "std between steps of the noisy layer's channel mean",
            measured.wandering,
            "equals",
            (1 / 12 + 0.02 / 3 / VALUES) ** 0.5,
            2 * (0.8 / CHANNELS) ** 0.5,
            "theory",
            "four standard errors of a uniform's standard deviation, √(0.2/n) each",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    arms = (
        ("batch normalization", with_cause.batch, "o"),
        ("with noise after it", with_cause.noisy, "^"),
        ("none", with_cause.none, "s"),
        ("control: noise and no normalization", control.noisy, "D"),
    )
    for label, arm, mark in arms:
        (x, x_error), (y, y_error) = mean_and_error(arm.shift), mean_and_error(arm.accuracy)
        axes.errorbar(x, y, y_error, x_error, fmt=mark, label=f"{label}, mean of {len(arm.accuracy)} nets")
    axes.axvline(8 / 27, ls="--", label="predicted for γ = 1: E |m_t − m_{t−1}| / E s_t = (1/3)/(9/8)")
    axes.axhline(0.1, ls=":", label="chance")
    axes.set(
        xlabel="change of a channel's mean from step to step, over its standard deviation",
        ylabel="right test pictures, share",
        ylim=(0, 1.05),
    )
