"""How well any linear map of the inputs can answer, and how well a nonlinear one can, without training a net.

Ridge regression on the standardized inputs, and the same on random features max(0, Wx + b): what the second gains is
what a net without a nonlinearity cannot learn, however long it trains (Rahimi and Recht 2008).
"""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from trainwell.clinic.quality import codes, quality

MOST, WIDEST = 1_500, 1_024  # samples of a part, numbers a sample
FEATURES, RIDGES = 400, (1e-3, 1e-1, 10.0)  # and penalties a sample, the best of which counts for either


@dataclass(frozen=True)
class Readout:
    """Scores on samples that were not fitted.

    Attributes:
        linear: of the best linear map.
        nonlinear: of the best linear map of random rectified features.
    """

    linear: float
    nonlinear: float


def read_out(train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], task: str, *, seed: int = 0) -> Readout | None:
    """Fit both on ``train`` and score them on ``val``; None for data that are no finite numbers of bounded width.

    Args:
        train: inputs (n, …) of floats and targets.
        val: likewise.
        task: of the score.
        seed: of the features.
    """
    (x, y), (x_val, y_val) = (tuple(piece[:: max(1, len(piece) // MOST)] for piece in part) for part in (train, val))
    if not (x.is_floating_point() and 0 < x[0].numel() <= WIDEST and y.dim() > 0):
        return None
    if task == "classification" and not (y.dim() == 2 and y.shape[1] > 1):
        classes = codes(y).long()
        targets = one_hot(classes - classes.min(), int(classes.max() - classes.min()) + 1).double()
        y_val = codes(y_val).long() - classes.min()
    else:
        targets = y.double().reshape(len(y), -1)
    x, x_val = x.double().flatten(1), x_val.double().flatten(1)
    mean, deviation = x.mean(0), x.std(0)
    x, x_val = ((part - mean) / torch.where(deviation > 0, deviation, 1.0) for part in (x, x_val))
    if not all(bool(part.isfinite().all()) for part in (x, x_val, targets)):
        return None
    draw = torch.Generator().manual_seed(seed)
    weights = torch.randn(x.shape[1], FEATURES, generator=draw, dtype=torch.float64) / x.shape[1] ** 0.5
    shifts = torch.randn(FEATURES, generator=draw, dtype=torch.float64)
    features = [(part @ weights + shifts).clamp(min=0.0) for part in (x, x_val)]
    both = [torch.cat(parts, 1) for parts in zip((x, x_val), features, strict=True)]
    return Readout(_best(x, targets, x_val, y_val, task), _best(both[0], targets, both[1], y_val, task))


def _best(x: Tensor, targets: Tensor, x_val: Tensor, y_val: Tensor, task: str) -> float:
    """The best score of ridge regressions with an intercept."""
    centre, level = x.mean(0), targets.mean(0)
    x, targets, scores = x - centre, targets - level, []
    gram, moment = x.T @ x, x.T @ targets
    for ridge in RIDGES:
        penalty = ridge * len(x) * torch.eye(x.shape[1], dtype=x.dtype)
        answers = (x_val - centre) @ torch.linalg.solve(gram + penalty, moment) + level
        if task in ("binary", "multilabel"):
            answers = answers - 0.5  # logits: the border between 0 and 1
        scores.append(quality(answers, y_val, task))
    return max(scores)
