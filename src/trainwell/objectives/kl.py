"""Kullback–Leibler divergence from soft targets to softmax probabilities, and label smoothing as its special case.

    KL(t ‖ p) = Σ_k t_k (ln t_k − ln p_k),     p = softmax(s),     ∂/∂s = p − t

It is cross-entropy minus the entropy of t: the same gradient, and a minimum of 0 at p = t. For smoothed labels
t = (1 − α) e_y + α/K the minimum is at a finite gap between the logits, ln((1 − α + α/K) / (α/K)): 4.5109 for K = 10
and α = 0.1. (Deck M's reason for smoothing, that y_i = 0 brings no update, is wrong: every logit gets p_i − t_i.)
Source: Szegedy et al. 2016, §7, arXiv:1512.00567; Müller, Kornblith & Hinton 2019, arXiv:1906.02629.
"""

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.class_loss import ClassLoss
from trainwell.objectives.reduction import check_reduction, reduced, refuse_plus_infinity


class SoftTargetKL(nn.Module):
    """KL(target ‖ softmax(logits)) of each row; no rows give 0 with zero gradient (``nn.KLDivLoss``: NaN).

    Finite for all finite logits, and for −∞ where the target is 0. ``nn.KLDivLoss`` wants log-probabilities, and its
    "mean" divides by the number of elements; this one takes logits and averages over the rows.

    Args:
        reduction: "mean" over the rows, "sum" or "none".
        strict: raise for a logit of +∞ and for a target that is no distribution (this waits for an accelerator).
    """

    def __init__(self, *, reduction: str = "mean", strict: bool = True) -> None:
        super().__init__()
        self.reduction = check_reduction("SoftTargetKL", reduction)
        self.strict = strict

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The divergence; both of shape (n, K), rows of target ≥ 0 with sum 1.

        Raises:
            InputError: for other shapes; if strict, for a logit of +∞ or a row of target that is no distribution.
        """
        if logits.dim() != 2 or logits.shape != target.shape:
            raise InputError(
                f"SoftTargetKL: logits {tuple(logits.shape)} do not fit targets {tuple(target.shape)}.",
                "Give both as (n, K); smoothed_labels makes targets of labels.",
            )
        if self.strict:
            refuse_plus_infinity("SoftTargetKL", logits)
            _check_distributions(target)
        log_p = logits.log_softmax(1).masked_fill(target == 0, 0.0)  # 0 · ln 0 = 0
        return reduced((torch.xlogy(target, target) - target * log_p).sum(1), self.reduction)


class SmoothedLabelKL(ClassLoss):
    """KL((1 − α) e_y + α/K ‖ softmax(logits)) of each label: label smoothing with its minimum at 0.

    The gradient is that of cross-entropy with label smoothing α; a loss of 0 says that the model gives exactly the
    smoothed labels. At α = 0 it is cross-entropy. With α > 0 a class ruled out by −∞ costs +∞.

    Args:
        weight, ignore_index, reduction, strict: see :class:`ClassLoss`.
        alpha: share of the target spread over all classes, 0..1.

    Example:
        >>> probabilities = torch.tensor([[0.95, 0.05]])
        >>> loss = SmoothedLabelKL(alpha=0.1)(probabilities.log(), torch.tensor([0]))
        >>> abs(float(loss)) < 1e-6
        True
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        alpha: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction, strict=strict)
        self.alpha = _share("SmoothedLabelKL", alpha)

    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """Σ_k t_k (ln t_k − ln p_k), shape (n,)."""
        target = smoothed_labels(label, logits.shape[1], self.alpha, logits.dtype)
        log_p = logits.log_softmax(1).masked_fill(target == 0, 0.0)
        return (torch.xlogy(target, target) - target * log_p).sum(1)


def smoothed_labels(labels: Tensor, classes: int, alpha: float, dtype: torch.dtype | None = None) -> Tensor:
    """(1 − α) e_y + α/K, shape (n, classes); PyTorch's α (deck M's ε is α/K).

    Args:
        labels: shape (n,), integers within 0..classes−1.
        classes: K.
        alpha: share of the target spread over all classes, 0..1.
        dtype: of the result; the default one if None.

    Raises:
        InputError: if ``alpha`` is no share.
    """
    _share("smoothed_labels", alpha)
    onehot = nn.functional.one_hot(labels.long(), classes).to(dtype or torch.get_default_dtype())
    return (1 - alpha) * onehot + alpha / classes


def _share(name: str, alpha: float) -> float:
    if not 0 <= alpha <= 1:
        raise InputError(f"{name}: alpha is {alpha}.", "Give a share between 0 and 1.")
    return alpha


def _check_distributions(target: Tensor) -> None:
    off = (target.sum(1) - 1).abs()
    tolerance = 1e-2 if target.dtype in (torch.float16, torch.bfloat16) else 1e-4
    wrong = ((target < 0).any(1) | ~(off <= tolerance)).nonzero()[:, 0]
    if len(wrong):
        row = int(wrong[0])
        raise InputError(
            f"SoftTargetKL: row {row} of the target has sum {float(target[row].sum()):.6g} "
            f"and least entry {float(target[row].min()):.6g}.",
            "Every row must be ≥ 0 and sum to 1.",
        )
