"""A loss of class scores that is linear in the target distribution, as cross-entropy is.

    L(s, t) = Σ_k w_k t_k ℓ(s, k)

ℓ(s, k) is the loss of the scores s were k the true class; t is one-hot for labels, and any weights ≥ 0 for soft targets
(mixup, several annotators). Conventions are those of ``torch.nn.CrossEntropyLoss``: the mean over labels divides by
Σ w_y of the samples that count, the mean over soft targets by their number. Two differ: a batch that is empty or all
ignored has loss 0 and zero gradient (torch: NaN), and a logit of +∞ is an error (torch: NaN).
"""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.reduction import check_reduction, reduced, refuse_plus_infinity


class ClassLoss(nn.Module, ABC):
    """Base of the losses of class scores; a subclass gives ``of_label``.

    Args:
        weight: shape (classes,), ≥ 0, weight of each class; all 1 if None.
        ignore_index: label of samples that do not count.
        reduction: "mean", "sum" or "none".
        strict: look at every batch for +∞ and for labels out of range, and raise. This waits for an accelerator;
            without it such scores give whatever arithmetic gives (mostly inf or NaN), for a loop that watches the loss.
    """

    weight: Tensor | None

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        ignore_index: int = -100,
        reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight)
        self.ignore_index = ignore_index
        self.reduction = check_reduction(type(self).__name__, reduction)
        self.strict = strict

    @abstractmethod
    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """ℓ(s, y) of each sample; logits (n, K), label (n,) within 0..K−1, returns (n,)."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss.

        Args:
            logits: shape (n, K), finite, or −∞ for classes that are ruled out; −∞ on the true class gives +∞.
            target: shape (n,), integer labels; or (n, K), floating, ≥ 0.

        Returns:
            A scalar, or shape (n,) for reduction "none".

        Raises:
            InputError: for other shapes; if strict, for a logit of +∞ or a label that is no class.
        """
        name = type(self).__name__
        soft = target.is_floating_point() and target.shape == logits.shape
        if logits.dim() != 2 or not (soft or (not target.is_floating_point() and target.shape == logits.shape[:1])):
            raise InputError(
                f"{name}: logits {tuple(logits.shape)} do not fit targets {tuple(target.shape)} of {target.dtype}.",
                "Give logits (n, K) with integer labels (n,) or floating-point weights (n, K).",
            )
        if self.strict:
            refuse_plus_infinity(name, logits)
        return self._of_soft(logits, target) if soft else self._of_labels(logits, target.long())

    def _of_labels(self, logits: Tensor, label: Tensor) -> Tensor:
        counts = label != self.ignore_index
        if self.strict:
            self._check_labels(label[counts], logits.shape[1])
        label = label.masked_fill(~counts, 0)
        weight = counts.to(logits.dtype)
        if self.weight is not None:
            weight = weight * self.weight.to(logits.dtype)[label]
        # masked before and after: an ignored row of −∞ or NaN must leave no 0 · ∞ in the gradient
        each = self.of_label(logits.masked_fill(~counts[:, None], 0.0), label)
        return reduced(each.masked_fill(~counts, 0.0) * weight, self.reduction, weight)

    def _of_soft(self, logits: Tensor, target: Tensor) -> Tensor:
        total = logits.new_zeros(len(logits))
        for k in range(logits.shape[1]):  # O(n K²) for a loss of O(n K), in O(n K) memory
            share = target[:, k].to(logits.dtype)
            if self.weight is not None:
                share = share * self.weight[k].to(logits.dtype)
            rows = logits.masked_fill((share == 0)[:, None], 0.0)
            each = self.of_label(rows, torch.full_like(target[:, 0], k, dtype=torch.long))
            total = total + share * each.masked_fill(share == 0, 0.0)
        return reduced(total, self.reduction)

    def _check_labels(self, label: Tensor, classes: int) -> None:
        wrong = label[(label < 0) | (label >= classes)]
        if len(wrong):
            raise InputError(
                f"{type(self).__name__}: label {int(wrong[0])} is none of the {classes} classes.",
                f"Labels run from 0 to {classes - 1}; ignore_index is {self.ignore_index}.",
            )
