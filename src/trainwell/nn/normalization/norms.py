"""Normalizations by name, for vectors and for signals of one to three dimensions.

With x of shape (N, C, *), where * is nothing (``dimensions=0``) or one to three spatial dimensions, each name takes its
statistics over these values; all but ``rms`` and ``local_response`` subtract the mean and divide by √(variance + ε):

    batch, batch_cumulative,       a channel over the batch, (N, *); running moments in eval mode (weight 0.1 of the new
    batch_no_affine, sync          ones; the mean of all; without γ, β; over the processes of a group)
    layer                          a sample, (C, *)
    instance                       a channel of a sample, (*)
    group                          a group of channels of a sample, (C/G, *)
    rms                            a sample, (C, *): x / √(mean x² + ε), times γ
    local_response                 five neighbouring channels: x / (k + α Σ x²)^β
    column_features, column_batch  a sample, (C, *); a feature, (N): no parameters, no state, alike in both modes
    zca, cholesky, iterative       groups of channels over (N, *), decorrelated too
    noisy, ghost, renorm, virtual  batch normalization: with noise; of small parts; corrected towards the running
                                   moments; by a reference batch
    switchable                     a learned mixture of instance, layer and batch

``none`` is the identity. Over a sample, a result does not depend on the other samples; over a batch it does in train
mode, and for ``column_batch`` always.
Sources: Ioffe & Szegedy 2015, arXiv:1502.03167 (batch); Ba et al. 2016, arXiv:1607.06450 (layer); Ulyanov et al. 2016,
arXiv:1607.08022 (instance); Wu & He 2018, arXiv:1803.08494 (group); the others name theirs.
"""

from collections.abc import Callable

from torch import nn

from trainwell.errors import InputError
from trainwell.nearest_name import nearest
from trainwell.nn.normalization.batch_renorm import BatchRenorm
from trainwell.nn.normalization.column_norm import ColumnNorm
from trainwell.nn.normalization.cumulative import CumulativeBatchNorm
from trainwell.nn.normalization.ghost import GhostBatchNorm
from trainwell.nn.normalization.local_response import LocalResponse
from trainwell.nn.normalization.noisy_batchnorm import NoisyBatchNorm
from trainwell.nn.normalization.root_mean_square import SampleRMSNorm
from trainwell.nn.normalization.switchable import SwitchableNorm
from trainwell.nn.normalization.synchronized import SynchronizedBatchNorm
from trainwell.nn.normalization.virtual import VirtualBatchNorm
from trainwell.nn.normalization.whitening import DecorrelatedBatchNorm, IterativeNorm

_BATCH = (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_INSTANCE = (nn.InstanceNorm1d, nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d)

_MAKERS: dict[str, Callable[[int, int], nn.Module]] = {
    "none": lambda channels, dimensions: nn.Identity(),
    "batch": lambda channels, dimensions: _BATCH[dimensions](channels),
    "batch_cumulative": lambda channels, dimensions: CumulativeBatchNorm(channels),
    "batch_no_affine": lambda channels, dimensions: _BATCH[dimensions](channels, affine=False),
    "layer": lambda channels, dimensions: nn.GroupNorm(1, channels) if dimensions else nn.LayerNorm(channels),
    "instance": lambda channels, dimensions: _INSTANCE[dimensions](channels, affine=True),
    "group": lambda channels, dimensions: nn.GroupNorm(group_count(channels, dimensions), channels),
    "rms": lambda channels, dimensions: SampleRMSNorm(channels) if dimensions else nn.RMSNorm(channels, eps=1e-5),
    "local_response": lambda channels, dimensions: LocalResponse(),
    "column_features": lambda channels, dimensions: ColumnNorm("features"),
    "column_batch": lambda channels, dimensions: ColumnNorm("batch"),
    "zca": lambda channels, dimensions: DecorrelatedBatchNorm(channels, groups=_whitened(channels), method="zca"),
    "cholesky": lambda channels, dimensions: DecorrelatedBatchNorm(
        channels, groups=_whitened(channels), method="cholesky"
    ),
    "iterative": lambda channels, dimensions: IterativeNorm(channels, groups=_whitened(channels)),
    "noisy": lambda channels, dimensions: NoisyBatchNorm(channels),
    "ghost": lambda channels, dimensions: GhostBatchNorm(channels),
    "virtual": lambda channels, dimensions: VirtualBatchNorm(channels),
    "renorm": lambda channels, dimensions: BatchRenorm(channels),
    "switchable": lambda channels, dimensions: SwitchableNorm(channels, dimensions),
    "sync": lambda channels, dimensions: SynchronizedBatchNorm(channels),
}

NORMS: tuple[str, ...] = tuple(_MAKERS)


def norm(name: str, channels: int, dimensions: int = 0) -> nn.Module:
    """Make the normalization called ``name`` for inputs of shape (N, channels, *).

    Args:
        name: one of ``NORMS``.
        channels: C.
        dimensions: 0 for (N, C), 1 to 3 for as many dimensions after the channels.

    Raises:
        InputError: if there is none of this name, or it makes no sense for these channels and dimensions.

    Example:
        >>> norm("group", 64, 2).num_groups
        32
    """
    if name not in _MAKERS:
        raise InputError(f"norm={name!r} is not known.", nearest(name, NORMS, f"Use one of {', '.join(NORMS)}."))
    if dimensions not in (0, 1, 2, 3):
        raise InputError(f"norm={name!r}: dimensions={dimensions} is not known.", "Use 0 for vectors, else 1, 2 or 3.")
    if channels < 1:
        raise InputError(f"norm={name!r}: there are {channels} channels.", "Use 1 or more.")
    if name == "instance" and dimensions == 0:
        raise InputError(
            "norm='instance' takes its statistics over the pixels of one channel, and a vector has one value there.",
            "Use layer or batch.",
        )
    if dimensions == 0 and channels == 1 and name in ("layer", "group", "rms", "column_features"):
        raise InputError(
            f"norm={name!r} over a single feature leaves nothing of its size.", "Use 2 or more channels, or batch."
        )
    return _MAKERS[name](channels, dimensions)


def group_count(channels: int, dimensions: int) -> int:
    """Return the number of groups of group normalization: the largest divisor of the channels, at most 32.

    32 groups are the paper's choice (its Table 3). A group keeps 2 or more channels, since a single one is instance
    normalization; for vectors it keeps 16 (the paper's other choice), since the two values of a pair would become
    (1, −1) or (−1, 1), whatever they are. Where no divisor leaves that many, there is one group: layer normalization.
    """
    least = 2 if dimensions else 16
    return max((g for g in range(1, 33) if channels % g == 0 and channels // g >= least), default=1)


def _whitened(channels: int) -> int:
    """Groups of at most 16 channels (Huang et al. 2018, §4): few enough for the covariance of a usual batch."""
    size = max(d for d in range(1, 17) if channels % d == 0)
    if size == 1 < channels:
        raise InputError(
            f"Decorrelating {channels} channels needs groups of 2 to 16, and {channels} has no such divisor.",
            f"Use {channels // 16 * 16} channels, or norm='batch'.",
        )
    return channels // size
