"""The features of a program's inputs: which axis they lie along, their moments, and what kind of numbers they are.

Rows (N, F) have a feature a column, series (N, T, F) one along the last axis, pictures and series of convolutions
(N, C, …) one a channel. Numbers of tokens are no features: they have no scale.
"""

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.clinic.subject import Subject
from trainwell.nn.predictor import Predictor
from trainwell.training.program import leaves

MOST = 4_000_000  # numbers that moments are taken of


@dataclass(frozen=True)
class Features:
    """Moments over the training samples, in float64.

    Attributes:
        x: the samples, (N, …).
        axis: of the features.
        mean, std: of each feature over samples and all other axes, of its finite values, shape (F,).
        whole: every value is a whole number.
        values: how many different ones, among the first rows.
        zeros: share of zeros.
    """

    x: Tensor
    axis: int
    mean: Tensor
    std: Tensor
    whole: bool
    values: int
    zeros: float

    @property
    def varying(self) -> Tensor:
        """Features that are not constant, to float32's precision, shape (F,) bool."""
        return self.std > 1e-6 * self.mean.abs().clamp(min=1e-12)

    @property
    def level(self) -> float:
        """Root mean square of all numbers."""
        return math.sqrt(float((self.mean.square() + self.std.square()).mean()))

    @property
    def offset(self) -> float:
        """Largest |mean| / std of a feature."""
        ratio = (self.mean.abs() / self.std.clamp(min=1e-300))[self.varying]
        return float(ratio.max()) if len(ratio) else 0.0

    @property
    def spread(self) -> float:
        """Root mean square of the largest feature over that of the smallest."""
        size = (self.mean.square() + self.std.square()).sqrt()[self.varying]
        return float(size.max() / size.min()) if len(size) else 1.0

    @property
    def sparse(self) -> bool:
        """One-hot vectors, flags, counts and weights of words: two values, or mostly zero, and not large."""
        return self.level <= 3 and ((self.whole and self.values <= 2) or self.zeros > 0.7)

    @property
    def where(self) -> str:
        """In the user's words."""
        return {1: "channel"}.get(self.axis, "feature") if self.x.dim() > 2 else "feature"


def features_of(subject: Subject) -> Features | None:
    """Of X where it is one tensor of numbers that are measured; else None."""
    x = prepared(subject, subject.train.x)
    if not isinstance(x, Tensor) or x.dim() < 2 or is_tokens(subject, x):
        return None
    return measured(x[:: 1 + x.numel() // MOST], axis_of(subject, x))


def prepared(subject: Subject, x: Any) -> Any:
    """X as the part of the model that learns is given it: behind the preparations of a ``Predictor``, or as it is."""
    model = subject.program.model
    while isinstance(model, Predictor) and not any(True for _ in model.prepare.parameters()):
        with torch.no_grad():
            x = copy.deepcopy(model.prepare).eval()(x)
        model = model.body
    return x


def measured(x: Tensor, axis: int) -> Features:
    """Moments along the axis."""
    flat = x.double().movedim(axis, -1).reshape(-1, x.shape[axis])
    known = torch.isfinite(flat)
    count = known.sum(0).clamp(min=1)
    filled = torch.where(known, flat, 0.0)
    mean = filled.sum(0) / count
    std = (torch.where(known, flat - mean, 0.0).square().sum(0) / count).sqrt()
    some = filled[:20_000]
    whole = bool((some == some.round()).all())
    return Features(x, axis, mean, std, whole, len(some.unique()) if whole else -1, float((some == 0).double().mean()))


def is_tokens(subject: Subject, x: Any) -> bool:
    """Are these codes that a table is read at?"""
    if not isinstance(x, Tensor):
        return False
    reads = any(isinstance(m, torch.nn.Embedding | torch.nn.EmbeddingBag) for m in subject.program.model.modules())
    if not x.is_floating_point():
        return reads or x.dtype is not torch.uint8
    return reads and bool((x == x.round()).all())


def axis_of(subject: Subject, x: Tensor) -> int:
    """1 for pictures and for series that a convolution reads first, else the last."""
    if x.dim() == 3:
        weighted = [layer for layer in subject.chain.layers if layer.kind in ("conv", "linear", "other")]
        first = weighted[0] if weighted else None
        same = first is not None and first.kind == "conv" and first.input_shape == tuple(x.shape[1:])
        return 1 if same else 2
    return 1 if x.dim() > 3 else x.dim() - 1


def nonfinite(x: Any) -> int:
    """How many of the numbers are NaN or infinite."""
    return sum(int((~torch.isfinite(leaf)).sum()) for leaf in leaves(x) if leaf.is_floating_point())
