"""N19: normalizing rows, over the batch, and columns, over the features, set other moments; columns need no batch.

Z has d features (rows) and n samples (columns). z ↦ (z − mean)/√(variance + ε) over a row (batch normalization) gives
every feature mean 0 and variance v/(v + ε) over the samples; over a column (layer normalization), every sample the same
over its features. One does not give the other: of d standardized independent features the mean over a sample's features
still has variance 1/d. A column's result is that of the sample alone; a row's changes with the other samples, by
2 E(x̂ − x)² ≈ 3/n between two batches that share one normal sample.

The lecture's rows are PyTorch's columns: PyTorch stores the batch as (samples, features).

Decks: T
Control: the two axes exchanged.
Source: Ba, Kiros & Hinton 2016, arXiv:1607.06450; Ioffe & Szegedy 2015, arXiv:1502.03167.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainwell.lab.experiment import Check
from trainwell.nn.normalization.column_norm import ColumnNorm
from trainwell.theory.batch_normalization import batch_noise
from trainwell.theory.gaussian import Array

FORMULA = r"""
\mathrm{rows:}\ \hat{z}_{ji} = \frac{z_{ji} - \mu_j}{\sqrt{\sigma_j^2 + \epsilon}}, \qquad \mathrm{columns:}\ \hat{z}_{ji} = \frac{z_{ji} - \mu_i}{\sqrt{\sigma_i^2 + \epsilon}}
"""  # noqa: E501 - a line of mathtext cannot be broken
EPS = 1e-5
AXES = ("batch", "features")


@dataclass(frozen=True)
class Setting:
    samples: int
    features: int
    pairs: int  # of batches that share a sample
    seed: int = 0


QUICK = Setting(samples=256, features=48, pairs=300)
FULL = Setting(samples=512, features=768, pairs=1000)


@dataclass(frozen=True)
class Measured:
    """What one run gives; "rows" and "columns" are what is normalized so, unless the control exchanges them."""

    rows: Array  # mean and variance less v/(v + ε) over the samples, largest size over the features, shape (2,)
    columns: Array  # the same over the features, largest over the samples
    row_means: Array  # of every sample over its features, after the rows are normalized
    column_means: Array  # of every sample over its features, after the columns are
    moved: Array  # mean squared change of a shared sample between two batches, of rows and of columns
    setting: Setting


def measure(setting: Setting, cause: bool) -> Measured:
    generator = torch.Generator().manual_seed(setting.seed)
    n, d = setting.samples, setting.features
    rows, columns = (ColumnNorm(over, eps=EPS) for over in (AXES if cause else AXES[::-1]))
    means, scales = (torch.randn(d, generator=generator, dtype=torch.float64) for _ in range(2))

    def batch() -> Tensor:
        return torch.randn(n, d, generator=generator, dtype=torch.float64)

    z = means + scales.exp() * batch()
    by_rows, by_columns = rows(z), columns(z)
    moved = np.zeros(2)
    for _ in range(setting.pairs):
        one, other = batch(), batch()
        other[0] = one[0]  # the other samples are drawn again
        moved += [float((norm(one)[0] - norm(other)[0]).square().mean()) for norm in (rows, columns)]
    return Measured(
        _off(z, by_rows, 0),
        _off(z, by_columns, 1),
        by_rows.mean(1).numpy(),
        by_columns.mean(1).numpy(),
        moved / setting.pairs,
        setting,
    )


def _off(z: Tensor, normalized: Tensor, axis: int) -> Array:
    variance = z.var(axis, correction=0)
    left = normalized.var(axis, correction=0) - variance / (variance + EPS)
    return np.array([float(normalized.mean(axis).abs().max()), float(left.abs().max())])


def check(measured: Measured) -> list[Check]:
    n, d, pairs = measured.setting.samples, measured.setting.features, measured.setting.pairs
    rounding = "rounding in float64, 1e-16 times mean over standard deviation"
    change = 2 * float(batch_noise(n))
    return [
        Check(
            "rows: mean, variance − v/(v+ε) over the samples", measured.rows, "at_most", 0.0, 1e-12, "claim", rounding
        ),
        Check("columns: the same over the features", measured.columns, "at_most", 0.0, 1e-12, "claim", rounding),
        Check("columns: change of a sample in another batch", measured.moved[1], "at_most", 0.0, 0.0, "claim", "exact"),
        Check(
            "rows: change of a sample in another batch",
            measured.moved[0],
            "equals",
            change,
            4 * (2.7 / (d * pairs)) ** 0.5 + 2 / n,
            "theory",
            "four standard errors, √(2.7/(d · pairs)) each, and 2/n for what both batches share",
        ),
        Check(
            "after rows: d times the variance of the samples' means",
            d * np.square(measured.row_means).mean(),
            "equals",
            1.0,
            4 * (2 / n) ** 0.5,
            "theory",
            "four standard errors, √(2/n) each: rows do not standardize columns",
        ),
    ]


def draw(with_cause: Measured, control: Measured, axes: Any) -> None:
    spread, samples = with_cause.setting.features**-0.5, np.arange(60)
    axes.plot([0, 59, 59, 0], [spread, spread, -spread, -spread], label="theory: ± 1/√d after rows")
    axes.plot(samples, 0.0 * samples, label="theory: 0 after columns")
    axes.plot(samples, with_cause.row_means[:60], "o", label="rows normalized")
    axes.plot(samples, with_cause.column_means[:60], "s", label="columns normalized")
    axes.plot(samples, control.column_means[:60], "x", label="columns, control")
    axes.set(xlabel="sample", ylabel="mean over the sample's features")
