"""N14: batch normalization and dropout behave differently in training and at test time; to forget it is a common bug.

Batch normalization (BN) left in training mode normalizes by the batch at hand. A batch of one picture is its own mean:
every normalized value is 0, the output depends on no input, and the accuracy is the share of one class. PyTorch refuses
that batch; the same picture twice has the same statistics and passes. With large batches the bug hardly shows. Such a
pass also overwrites the running variance, v̄ ← 0.9 v̄ + 0.1 v (v with divisor B − 1; one lecture averages the standard
deviation, PyTorch the variance): n passes of variance 0 leave 0.9ⁿ of it. Dropout left on with probability p, values
divided by 1 − p, gives each output Σ w_j h_j the variance p/(1−p) Σ w_j² h_j² and right answers by luck. The other way
round, training in evaluation mode, is the control of N06: norms that do not normalize. The published setting (MNIST,
256 units, 4000 steps) holds in part: a large net trained long under dropout is used to it, and leaving it on costs 2.6
points there, not ten; batch normalization costs 88.

Decks: R M
Control: the same net with neither, which is the same function in both modes.
Source: Ioffe & Szegedy 2015, Alg. 2, arXiv:1502.03167; Srivastava et al. 2014, JMLR 15.
"""

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.lab.descent import accuracy, descend, mean_and_error
from trainwell.lab.experiment import Check
from trainwell.lab.labelled_pictures import Pictures, labelled_pictures
from trainwell.lab.signal.random_net import Array
from trainwell.nn import plain_mlp

FORMULA = r"""
B = 1: \quad \hat{x} = \frac{x - x}{\sqrt{0 + \varepsilon}} = 0, \quad \bar{v} \leftarrow 0.9\, \bar{v} + 0.1\, v
\mathrm{Var}\, \sum_j w_j \frac{m_j h_j}{1 - p} = \frac{p}{1 - p} \sum_j w_j^2 h_j^2
"""
BATCHES = (1, 2, 4, 8, 16, 32, 64)  # at test time, in the wrong mode
DROP = 0.5


@dataclass(frozen=True)
class Setting:
    data: str
    pictures: int
    test: int
    width: int
    steps: int
    runs: int
    depth: int = 2
    batch: int = 64
    masks: int = 1000  # of dropout, to measure the variance of an output
    seed: int = 0


QUICK = Setting("digits", 1000, 320, width=64, steps=150, runs=6)
FULL = Setting("mnist", 55000, 9984, width=256, steps=4000, runs=5)


@dataclass(frozen=True)
class Measured:
    """What one run gives; first axis the runs, where there is one."""

    right: Array  # accuracy in evaluation mode: nets with BN, nets with dropout; shape (runs, 2)
    norm: Array  # of BN in training mode, by batch size, shape (runs, batches)
    dropout: Array  # of dropout in training mode, shape (runs,)
    changed: Array  # share of pictures whose output depends on the mode: BN (batch of one), dropout; shape (runs, 2)
    refused: Array  # 1 where PyTorch refuses a batch of one, shape (runs,)
    one_class: Array  # share of the class that BN predicts for the first picture, in batches of one
    spread: Array  # largest difference of outputs between pictures, BN in batches of one, over the largest output
    kept: Array  # running variance after n pictures one by one over 0.9ⁿ of that before, first norm
    noise: Array  # variance of an output under dropout over its prediction
    masks: int  # times pictures, of that variance


def measure(setting: Setting, cause: bool) -> Measured:
    pictures = labelled_pictures(setting.data, setting.pictures, setting.test, setting.seed).flat
    runs = []
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        for run in range(setting.runs):
            generator = torch.Generator().manual_seed(setting.seed * setting.runs + run)
            runs.append(_one_run(setting, pictures, generator, cause))
    columns = [np.array(column, float) for column in zip(*runs, strict=True)]
    right, norm, dropout, changed, refused, one_class, spread, kept, noise = columns
    return Measured(right, norm, dropout, changed, refused, one_class, spread, kept, noise, setting.masks * 100)


def _one_run(setting: Setting, pictures: Pictures, generator: torch.Generator, cause: bool) -> tuple[Any, ...]:
    X, y, features = pictures.X_test, pictures.y_test, pictures.X.shape[1]
    nets = [
        plain_mlp((features,), 10, width=setting.width, depth=setting.depth, norm=norm, dropout=drop)
        for norm, drop in ((("batch", 0.0), ("none", DROP)) if cause else (("none", 0.0), ("none", 0.0)))
    ]
    for net in nets:
        descend(net, pictures.X, pictures.y, rate=0.1, steps=setting.steps, batch=setting.batch, generator=generator)
        net.double()
    X = X.double()
    right = [accuracy(net, X, y) for net in nets]
    with torch.no_grad():
        proper = [net.eval()(X) for net in nets]
        by_batch = [_in_training_mode(nets[0], X, size) for size in BATCHES]
        dropped = nets[1].train()(X)
        wrong = [_share(output.argmax(1) == y) for output in by_batch]
        changed = [_share(_differs(a, b)) for a, b in zip((by_batch[0], dropped), proper, strict=True)]
        return (
            right,
            wrong,
            _share(dropped.argmax(1) == y),
            changed,
            _refuses_one(nets[0], X),
            _share(y == by_batch[0][0].argmax()),
            float((by_batch[0] - by_batch[0][0]).abs().max() / by_batch[0].abs().max()),
            _variance_kept(nets[0], X),
            _noise(nets[1], X[:100], setting.masks),
        )


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def _differs(a: Tensor, b: Tensor) -> Tensor:
    """Which rows differ by more than rounding: by a thousandth of the largest output."""
    return (a - b).abs().amax(1) > 1e-3 * b.abs().max()


def _in_training_mode(net: nn.Module, X: Tensor, size: int) -> Tensor:
    """Outputs in batches of a size; a picture alone counts twice, which changes no mean and no variance."""
    net = copy.deepcopy(net).train()
    if size > 1:
        return torch.cat([net(rows) for rows in X.split(size)])
    return torch.cat([net(row.expand(2, -1))[:1] for row in X.split(1)])


def _refuses_one(net: nn.Module, X: Tensor) -> bool:
    try:
        copy.deepcopy(net).train()(X[:1])
    except ValueError:
        return True
    return False


def _variance_kept(net: nn.Module, X: Tensor) -> float:
    """Running variance of the first norm after pictures one by one, over 0.9ⁿ of that before; nan without norms."""
    before, after = copy.deepcopy(net), copy.deepcopy(net).train()
    for row in X[:50].split(1):
        after(row.expand(2, -1))
    pairs = zip(before.modules(), after.modules(), strict=True)
    norms = [(a, b) for a, b in pairs if isinstance(a, nn.BatchNorm1d) and isinstance(b, nn.BatchNorm1d)]
    if not norms or norms[0][0].running_var is None or norms[0][1].running_var is None:
        return float("nan")
    return float((norms[0][1].running_var / norms[0][0].running_var).mean()) / 0.9**50


def _noise(net: nn.Module, X: Tensor, masks: int) -> float:
    """Variance of an output under the last dropout's masks over p/(1−p) Σ w² h², mean; nan without dropout."""
    *body, drop, last = net.children()
    if not isinstance(drop, nn.Dropout) or not isinstance(last, nn.Linear):
        return float("nan")
    h = nn.Sequential(*body).eval()(X)
    outputs = torch.stack([last(drop.train()(h)) for _ in range(masks)])
    predicted = DROP / (1 - DROP) * h.square() @ last.weight.square().T
    return float((outputs.double().var(0) / predicted).mean())


def check(measured: Measured) -> list[Check]:
    by_norm, norm_error = mean_and_error(measured.right[:, 0] - measured.norm[:, 0])
    by_dropout, dropout_error = mean_and_error(measured.right[:, 1] - measured.dropout)
    noise, noise_error = mean_and_error(measured.noise)
    exact = "absolute: rounding of float64, which every norm multiplies by 1/√ε = 316"
    return [
        Check(
            "share of outputs that depend on the mode: BN, dropout",
            measured.changed.mean(0),
            "at_least",
            0.99,
            0.0,
            "claim",
            "all but one in a hundred",
        ),
        Check(
            "accuracy lost by BN in training mode, batch of one",
            by_norm,
            "at_least",
            0.1,
            0.0,
            "claim",
            "a bug is what costs ten points",
            error=norm_error,
        ),
        Check(
            "accuracy lost by dropout left on",
            by_dropout,
            "at_least",
            0.1,
            0.0,
            "claim",
            "as above",
            error=dropout_error,
        ),
        Check("PyTorch refuses a batch of one vector", measured.refused, "equals", 1, 0.0, "theory", "exact"),
        Check("batch of one: outputs differ between pictures", measured.spread, "equals", 0, 1e-9, "theory", exact),
        Check(
            "batch of one: accuracy less the share of the one class",
            measured.norm[:, 0] - measured.one_class,
            "equals",
            0.0,
            1e-12,
            "theory",
            exact,
        ),
        Check(
            "running variance after 50 such passes over 0.9⁵⁰ of it",
            measured.kept,
            "equals",
            1.0,
            1e-9,
            "theory",
            "algebra, rounding of float64",
        ),
        Check(
            "variance of an output under dropout over its prediction",
            noise,
            "equals",
            1.0,
            4 * (2 / measured.masks) ** 0.5,
            "theory",
            "four standard errors, √(2/(masks · pictures)): the ten outputs count as one",
            error=noise_error,
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    axes.axhline(with_cause.right[:, 0].mean(), label="BN in evaluation mode")
    axes.axhline(with_cause.one_class.mean(), linestyle="--", label="theory: one class for all pictures")
    axes.errorbar(BATCHES, *mean_and_error(with_cause.norm), fmt="o", label="BN in training mode")
    mean, error = mean_and_error(with_cause.right[:, 1] - with_cause.dropout)
    axes.plot(
        BATCHES,
        [with_cause.dropout.mean()] * len(BATCHES),
        "^",
        label=f"dropout left on: {100 * mean:.1f} ± {100 * error:.1f} points lost",
    )
    axes.errorbar(BATCHES, *mean_and_error(control.norm), fmt="s", label="control, training mode")
    axes.set(
        xlabel="pictures in a batch at test time", ylabel="right test pictures, share", xscale="log", ylim=(0, 1.05)
    )
