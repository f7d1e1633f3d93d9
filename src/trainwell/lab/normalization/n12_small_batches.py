"""N12: the test error of batch normalization grows as the batch shrinks, and that of group normalization does not.

Batch normalization (BN) takes mean and variance over the batch. Of B standard normal values x the normalized ones x̂ are
off by E(x̂ − x)² = 2 − 2 E s, about 3/(2B), s the batch's own standard deviation, and |x̂| ≤ √(B − 1): of two values
nothing is left but which is the larger. The test uses running moments, of which training with two never saw the like.
Group normalization (GN) takes them over groups of channels of one sample, and cannot know the batch. Rate proportional
to B, the same number of epochs. Published for ResNet-50 on ImageNet (error in %, B = 32, 16, 8, 4, 2, from memory): BN
23.6, 23.7, 24.8, 27.3, 34.7; GN 24.1, 24.2, 24.0, 24.2, 24.1. "Grows" is here: by half of BN's 11.1 points there, or
more.

In a convolution the pixels count too: the moments of a channel of H × W pixels are over B·H·W values. The net here ends
on a map of a single pixel, and the size of the effect hangs on that: from batch 32 to 2 BN's error grows by 42 points
in three epochs and by 49 in six, nearly all of it from 4 to 2. With a last map of 2 × 2 pixels (strides 2, 2, 1) it
grows by 12 ± 2 points in three epochs, and by 4.1 ± 0.6 in six, less than what is called growing here.

Decks: R T
Control: BN's statistics over 32 samples at every batch, of which only B are in the loss.
Source: Wu & He 2018, arXiv:1803.08494, table 2.
"""

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.many_nets import ManyNets
from trainwell.lab.normalization.small_convnets import convnets, named
from trainwell.lab.signal.random_net import Array
from trainwell.theory.batch_normalization import batch_noise

FORMULA = r"""
E\,(\hat{x} - x)^2 = 2 - 2\,\sqrt{2/B}\;\Gamma(B/2)\,/\,\Gamma((B-1)/2) \approx \frac{3}{2B}
|\hat{x}| \leq \sqrt{B-1}
"""
BATCHES = (32, 16, 8, 4, 2)
LARGEST = max(BATCHES)
PUBLISHED = {"batch": (23.6, 23.7, 24.8, 27.3, 34.7), "group": (24.1, 24.2, 24.0, 24.2, 24.1)}
BATCHES_OF_NOISE = 20_000
GROWTH = PUBLISHED["batch"][-1] - PUBLISHED["batch"][0]  # points


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    tested: int
    nets: int
    epochs: int
    widths: tuple[int, ...] = (16, 16, 32)
    strides: tuple[int, ...] = (2, 2, 2)
    rate: float = 0.3  # at a batch of 32
    seed: int = 0


QUICK = Setting("digits", pictures=600, tested=350, nets=6, epochs=3)
FULL = Setting(
    "cifar10", 40_000, 10_000, nets=5, epochs=20, widths=(32, 64, 128, 128, 128), strides=(2, 2, 2, 2, 2), rate=0.1
)


@dataclass(frozen=True)
class Measured:
    """What one run gives."""

    batch: Array  # test error in % of batch normalization, shape (batches, nets)
    group: Array
    noise: Array  # E(x̂ − x)² of PyTorch's layer on standard normal x, shape (batches,)
    largest: Array  # the largest |x̂|
    batches: int  # that both are of


def measure(setting: Setting, cause: bool) -> Measured:
    batch = [_errors(setting, "batch", size, size if cause else LARGEST) for size in BATCHES]
    group = [_errors(setting, "group", size, size) for size in BATCHES]
    noise, largest = _batch_statistics(setting.seed, BATCHES_OF_NOISE)
    return Measured(np.stack(batch), np.stack(group), noise, largest, BATCHES_OF_NOISE)


@functools.cache  # groups of channels are the same with the cause and without
def _errors(setting: Setting, name: str, counted: int, batch: int) -> Array:
    """Test errors in %, with ``counted`` samples of each batch in the loss."""
    p = labelled_pictures(setting.data, setting.pictures, setting.tested, setting.seed)
    nets = convnets(
        setting.nets, p.X.shape[1], named(name), widths=setting.widths, strides=setting.strides, seed=setting.seed
    )
    together = ManyNets(nets)
    together.descend(
        p.X,
        p.y,
        rates=setting.rate * counted / LARGEST,
        steps=setting.epochs * (setting.pictures // counted),
        batch=batch,
        counted=counted,
        generator=torch.Generator().manual_seed(setting.seed),
    )
    return 100 * (1 - together.accuracies(p.X_test, p.y_test).double().numpy())


def _batch_statistics(seed: int, batches: int) -> tuple[Array, Array]:
    generator = torch.Generator().manual_seed(seed)
    noise, largest = [], []
    for size in BATCHES:
        x = torch.randn(size, batches, generator=generator, dtype=torch.float64)
        normalized = nn.BatchNorm1d(batches, eps=1e-12, affine=False, dtype=torch.float64)(x)
        noise.append(float((normalized - x).square().mean()))
        largest.append(float(normalized.abs().max()))
    return np.array(noise), np.array(largest)


def check(measured: Measured) -> list[Check]:
    m = measured
    (bn, bn_error), (gn, gn_error) = (mean_and_error(errors[-1] - errors[0]) for errors in (m.batch, m.group))
    apart, apart_error = mean_and_error(m.batch[-1] - m.group[-1])
    half = "half of what BN's error grows by in the published table"
    sizes = np.array(BATCHES)
    return [
        Check("BN: points from batch 32 to 2", bn, "at_least", GROWTH / 2, 0.0, "claim", half, error=bn_error),
        Check("GN: points from batch 32 to 2", gn, "at_most", GROWTH / 2, 0.0, "claim", half, error=gn_error),
        Check(
            "batch 2: points that GN is better",
            apart,
            "at_least",
            0.0,
            0.0,
            "claim",
            "the order in the published table",
            error=apart_error,
        ),
        Check(
            "noise of a batch of 32, 16, 8, 4, 2",
            m.noise,
            "equals",
            batch_noise(sizes),
            4 * 10**0.5 / 3 / measured.batches**0.5,
            "theory",
            "four standard errors: a batch's spread is √10/3 of its mean for large B, and less for small",
        ),
        Check(
            "largest of a normalized batch",
            m.largest,
            "at_most",
            np.sqrt(sizes - 1),
            1e-12,
            "theory",
            "rounding in float64",
        ),
        Check(
            "batch 2: largest of a normalized batch",
            m.largest[-1],
            "equals",
            1.0,
            1e-10,
            "theory",
            "ε = 1e-12 over the largest variance",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    for name, mark in (("batch", "-"), ("group", "--")):
        axes.plot(BATCHES, PUBLISHED[name], mark, label=f"published for ImageNet, {name} normalization")
    arms = (
        (with_cause.batch, "o", "batch normalization"),
        (with_cause.group, "^", "group normalization"),
        (control.batch, "s", "control: statistics over 32"),
    )
    for errors, mark, label in arms:
        mean, error = mean_and_error(errors, axis=1)
        axes.errorbar(BATCHES, mean, error, fmt=mark, label=label)
    axes.set(xlabel="batch", ylabel="test error, %", xscale="log")
    axes.set_xticks(BATCHES, [str(size) for size in BATCHES])
    axes.minorticks_off()
    axes.invert_xaxis()
