"""S18: on little data a net that starts from the weights of one trained for a related task beats a random start.

A small convolutional net learns the digits 0–4, of which there are many pictures; its head, the last layer, is drawn
anew, and all of it is fine-tuned on a few pictures each of 5–9. The random start has the same architecture, the same
head and the same pictures. No formula predicts the gain; it is the mean over pairs, with its standard error. Each start
has the rate, of one grid, that does best on the pictures that are then scored.

It is not so for every net and source: fully connected nets gained nothing with the same split of classes. On the 8×8
digits, whose source part has some 600 pictures, the gains were −3.4 to −0.6 points, and with two hidden layers on MNIST
+2.0 to −0.6, no gain of them significant. What is shown here is shown for convolutions and a source of thousands.

Decks: K M
Control: the labels of the source task are shuffled, so that there is nothing to learn but the pictures by heart.
Source: Erhan et al. 2010; Yosinski et al. 2014, arXiv:1411.1792.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, cross_entropy, relu

from trainwell.lab.descent import mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.training.transfer import HEAD_SCALE

FORMULA = r"""
\mathrm{gain} = \mathrm{accuracy}(\mathrm{pre\!-\!trained}) - \mathrm{accuracy}(\mathrm{random})
"""
SOURCE, TARGET = (0, 1, 2, 3, 4), (5, 6, 7, 8, 9)
SIZES = (1, 2, 5, 10)  # pictures a class


@dataclass(frozen=True)
class Setting:
    pairs: int
    source: int
    source_steps: int
    steps: int
    shrink: int = 2
    channels: tuple[int, int] = (8, 16)
    units: int = 32
    rates: tuple[float, ...] = (0.1, 0.2)
    target: int = 2000
    test: int = 500
    batch: int = 32
    seed: int = 0


QUICK = Setting(pairs=20, source=8000, source_steps=600, steps=60)
FULL = Setting(
    pairs=30,
    source=25000,
    source_steps=5000,
    steps=1000,
    shrink=1,
    channels=(32, 64),
    units=128,
    target=10000,
    test=4000,
)


@dataclass(frozen=True)
class Measured:
    """What one run gives: test accuracy at each start's best rate, shape (pairs, sizes)."""

    random: Array
    pretrained: Array
    source: Array  # accuracy on the source task, training pictures, shape (pairs,)


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    source = labelled_pictures("mnist", setting.source, 0, setting.seed, shrink=setting.shrink, classes=SOURCE)
    target = labelled_pictures(
        "mnist", setting.target, setting.test, setting.seed, shrink=setting.shrink, classes=TARGET
    )
    labels = source.y if cause else source.y[torch.randperm(setting.source, generator=generator)]
    random = _drawn(setting, source.X.shape[-1], generator)
    rows = torch.arange(setting.source).expand(setting.pairs, -1)
    pretrained = _trained(random, source.X, labels, rows, min(setting.rates), setting.source_steps, setting, generator)
    head = _head(setting, generator)
    accuracy = np.empty((2, len(SIZES), len(setting.rates), setting.pairs))
    for place, size in enumerate(SIZES):
        few = torch.stack([_few(target.y, size, generator) for _ in range(setting.pairs)])
        order = int(torch.randint(2**31, (), generator=generator))
        for start, weights in enumerate((random, pretrained)):
            for at, rate in enumerate(setting.rates):
                same = torch.Generator().manual_seed(order)
                tuned = _trained([*weights[:-2], *head], target.X, target.y, few, rate, setting.steps, setting, same)
                accuracy[start, place, at] = _accuracy(tuned, target.X_test, target.y_test)
    best = accuracy.mean(-1).argmax(-1)
    first, second = (np.stack([accuracy[i, j, best[i, j]] for j in range(len(SIZES))], -1) for i in range(2))
    return Measured(first, second, _accuracy(pretrained, source.X[:500], source.y[:500]))


def _drawn(setting: Setting, side: int, generator: torch.Generator) -> list[Tensor]:
    """Weights and biases of all nets, Kaiming's: two convolutions of stride 2, two linear layers."""
    first, second = setting.channels
    small = -(-side // 4)
    nets = setting.pairs
    shapes = [(first, 1, 3, 3), (second, first, 3, 3)]
    parameters = []
    for out, channels, *size in shapes:
        std = (2 / (9 * channels)) ** 0.5
        parameters += [torch.randn(nets * out, channels, *size, generator=generator) * std, torch.zeros(nets * out)]
    for before, after in pairwise((second * small**2, setting.units)):
        std = (2 / before) ** 0.5
        parameters += [torch.randn(nets, before, after, generator=generator) * std, torch.zeros(nets, 1, after)]
    return parameters + _head(setting, generator)


def _head(setting: Setting, generator: torch.Generator) -> list[Tensor]:
    std = HEAD_SCALE * setting.units**-0.5
    weight = torch.randn(setting.pairs, setting.units, len(TARGET), generator=generator) * std
    return [weight, torch.zeros(setting.pairs, 1, len(TARGET))]


def _few(y: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """Indices of ``size`` pictures of each class."""
    places = [torch.nonzero(y == label)[:, 0] for label in range(len(TARGET))]
    return torch.cat([each[torch.randperm(len(each), generator=generator)[:size]] for each in places])


def _logits(parameters: list[Tensor], X: Tensor) -> Tensor:
    """(nets, batch, 1, side, side) → (nets, batch, classes); the nets are groups of the convolutions."""
    nets = len(parameters[-1])
    h = X[:, :, 0].transpose(0, 1)
    for place in (0, 2):
        h = relu(conv2d(h, parameters[place], parameters[place + 1], stride=2, padding=1, groups=nets))
    h = h.unflatten(1, (nets, -1)).transpose(0, 1).flatten(2)
    h = relu(torch.baddbmm(parameters[5], h, parameters[4]))
    return torch.baddbmm(parameters[7], h, parameters[6])


def _trained(
    start: list[Tensor],
    X: Tensor,
    y: Tensor,
    rows: Tensor,
    rate: float,
    steps: int,
    setting: Setting,
    generator: torch.Generator,
) -> list[Tensor]:
    """Plain SGD of all nets at once, each on pictures of its own row of ``rows``."""
    parameters = [parameter.clone().requires_grad_() for parameter in start]
    batch = min(setting.batch, rows.shape[1])
    for _ in range(steps):
        drawn = rows.gather(1, torch.randint(rows.shape[1], (len(rows), batch), generator=generator))
        logits = _logits(parameters, X[drawn])
        loss = cross_entropy(logits.flatten(0, 1), y[drawn].flatten(), reduction="sum") / batch
        gradients = torch.autograd.grad(loss, parameters)
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= rate * gradient
    return [parameter.detach() for parameter in parameters]


@torch.no_grad()
def _accuracy(parameters: list[Tensor], X: Tensor, y: Tensor) -> Array:
    nets = len(parameters[-1])
    guesses = [_logits(parameters, part.expand(nets, *part.shape)).argmax(-1) for part in X.split(250)]
    return (torch.cat(guesses, 1) == y).double().mean(1).numpy()


def check(measured: Measured) -> list[Check]:
    gains = measured.pretrained - measured.random
    checks = []
    for name, few in (("1 and 2", gains[:, :2]), ("5 and 10", gains[:, 2:])):
        gain, error = mean_and_error(few.mean(1))
        reason = "a gain of less than two standard errors would be none"
        named = f"gain in accuracy, {name} pictures a class, over its standard error"
        checks.append(Check(named, gain / error, "at_least", 2.0, 0.0, "claim", reason, error=1.0))
    return checks


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    for values, mark, name in (
        (with_cause.random, "o", "random start"),
        (with_cause.pretrained, "^", "pre-trained on 0–4"),
        (control.pretrained, "s", "pre-trained, shuffled labels (control)"),
    ):
        mean, error = mean_and_error(values)
        axes.errorbar(SIZES, mean, error, fmt=mark, capsize=2, label=name)
    axes.set(xlabel="training pictures a class, digits 5–9", ylabel="test accuracy", xscale="log")
