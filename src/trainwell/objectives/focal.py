"""Focal loss: cross-entropy that gives little weight to what is already right.

    L = −(1 − p_y)^γ ln p_y

γ = 0 is cross-entropy; with γ = 2 a sample at p_y = 0.9 weighs 1/100 of that. Both factors are taken in log space
from the gap g = s_y − lse_{j≠y} s_j: p_y = sigmoid(g) and 1 − p_y = sigmoid(−g), so neither cancels nor overflows.
Unless γ = 0 the p that minimizes it for uncertain labels is not the labels' distribution: it is not calibrated.
Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", eq. 4 and 5, γ = 2, α = 0.25, arXiv:1708.02002.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from trainwell.errors import InputError
from trainwell.objectives.binary_loss import BinaryLoss
from trainwell.objectives.class_loss import ClassLoss


class FocalLoss(ClassLoss):
    """Focal loss of softmax probabilities; finite for all finite logits.

    Args:
        weight, ignore_index, reduction, strict: see :class:`ClassLoss`; ``weight`` is the paper's α, for each class.
        gamma: γ ≥ 0; 2 is the paper's choice.

    Example:
        >>> logits = torch.tensor([[0.0, 0.0]])  # p = ½: ¼ ln 2
        >>> FocalLoss()(logits, torch.tensor([1]))
        tensor(0.1733)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        gamma: float = 2.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction, strict=strict)
        self.gamma = _not_negative("FocalLoss", gamma)

    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """−(1 − p_y)^γ ln p_y, shape (n,)."""
        smallest = torch.finfo(logits.dtype).min  # stands for −∞, for which logsumexp has no gradient
        others = logits.scatter(1, label[:, None], smallest).clamp_min(smallest).logsumexp(1)
        return _focal(logits.gather(1, label[:, None])[:, 0] - others, self.gamma)


class BinaryFocalLoss(BinaryLoss):
    """−α t (1 − p)^γ ln p − (1 − α)(1 − t) p^γ ln(1 − p) of every element, p = sigmoid(s).

    Args:
        gamma: γ ≥ 0; 2 is the paper's choice.
        alpha: share of weight for the positives, 0..1 (the paper has 0.25); None leaves both factors out.
        reduction, strict: see :class:`BinaryLoss`.
    """

    def __init__(
        self, *, gamma: float = 2.0, alpha: float | None = None, reduction: str = "mean", strict: bool = True
    ) -> None:
        if alpha is not None and not 0 <= alpha <= 1:
            raise InputError(f"BinaryFocalLoss: alpha is {alpha}.", "Give a share between 0 and 1, or None.")
        weights = (1.0, 1.0) if alpha is None else (alpha, 1 - alpha)
        super().__init__(reduction=reduction, strict=strict, weights=weights)
        self.gamma = _not_negative("BinaryFocalLoss", gamma)
        self.alpha = alpha

    def of_score(self, score: Tensor) -> Tensor:
        """−(1 − p)^γ ln p."""
        return _focal(score, self.gamma)


def _focal(logits: Tensor, gamma: float) -> Tensor:
    """−(1 − p)^γ ln p with p = sigmoid(logits)."""
    return -_power(logsigmoid(-logits), gamma) * logsigmoid(logits)


def _power(log_base: Tensor, gamma: float) -> Tensor:
    """exp(γ · log_base) with 0⁰ = 1."""
    return torch.ones_like(log_base) if gamma == 0 else (gamma * log_base).exp()


def _not_negative(name: str, gamma: float) -> float:
    if not 0 <= gamma < float("inf"):
        raise InputError(f"{name}: gamma is {gamma}.", "Give 0 (cross-entropy) or more.")
    return gamma
