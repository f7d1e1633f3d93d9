"""Hinge losses: the support vector machine for several classes and for two.

    Weston–Watkins   L = Σ_{j≠y} max(0, s_j − s_y + m),     ∂L/∂s_j = 1[s_j − s_y + m > 0],  ∂L/∂s_y = −Σ_{j≠y} ∂L/∂s_j
    Crammer–Singer   L = max(0, m + max_{j≠y} s_j − s_y)
    binary           L = max(0, m − y s),  y = ±1

Deck R states the first one rightly and then expands it with a misprint: W_j·x **+** W_y·x + 1, where it must be
W_j·x **−** W_y·x + 1. With the plus, descent lowers the true class's score. For s = (1, 2, 0), y = 0 the loss is 2, and
6 with the misprint. At s = 0 it is K − 1.

The scores are not calibrated: the softmax of them (sigmoid for the binary one), which trainwell shows as probabilities,
orders the classes as the scores do and is fine for that, but is no estimate of how often the class is right.
Source: Weston & Watkins 1999, "Support Vector Machines for Multi-Class Pattern Recognition" (ESANN); Crammer & Singer
2001, "On the Algorithmic Implementation of Multiclass Kernel-based Vector Machines" (JMLR 2).
"""

import torch
from torch import Tensor

from trainwell.errors import InputError
from trainwell.objectives.binary_loss import BinaryLoss
from trainwell.objectives.class_loss import ClassLoss


class WestonWatkinsLoss(ClassLoss):
    """Sum over the wrong classes of how far each comes within ``margin`` of the true one.

    Finite wherever s_j − s_y is; torch's ``MultiMarginLoss`` is this divided by the number of classes.

    Args:
        weight, ignore_index, reduction, strict: see :class:`ClassLoss`.
        margin: m > 0, in the unit of the scores.

    Example:
        >>> WestonWatkinsLoss()(torch.tensor([[1.0, 2.0, 0.0]]), torch.tensor([0]))
        tensor(2.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        margin: float = 1.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction, strict=strict)
        self.margin = _positive(type(self).__name__, margin)

    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """Σ_{j≠y} max(0, s_j − s_y + m), shape (n,)."""
        return _gaps(logits, label).add(self.margin).clamp_min(0.0).sum(1)


class CrammerSingerLoss(WestonWatkinsLoss):
    """How far the best wrong class comes within ``margin`` of the true one; arguments as Weston–Watkins."""

    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """max(0, m + max_{j≠y} s_j − s_y), shape (n,)."""
        return _gaps(logits, label).amax(1).add(self.margin).clamp_min(0.0)


class BinaryHingeLoss(BinaryLoss):
    """t·max(0, m − s) + (1 − t)·max(0, m + s) of every score.

    Args:
        margin: m > 0, in the unit of the scores.
        reduction, strict: see :class:`BinaryLoss`.
    """

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean", strict: bool = True) -> None:
        super().__init__(reduction=reduction, strict=strict)
        self.margin = _positive("BinaryHingeLoss", margin)

    def of_score(self, score: Tensor) -> Tensor:
        """max(0, m − s)."""
        return (self.margin - score).clamp_min(0.0)


def _gaps(logits: Tensor, label: Tensor) -> Tensor:
    """s_j − s_y, and −∞ at j = y and for every class that is ruled out; shape (n, K)."""
    true = torch.zeros_like(logits, dtype=torch.bool).scatter(1, label[:, None], True)
    return (logits - logits.gather(1, label[:, None])).masked_fill(true | logits.isneginf(), -torch.inf)


def _positive(name: str, margin: float) -> float:
    if not 0 < margin < float("inf"):
        raise InputError(f"{name}: margin is {margin}.", "Give a positive number: with 0, equal scores cost nothing.")
    return margin
