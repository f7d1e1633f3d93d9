"""Cross-entropy that stays defined where torch's does not.

    L(s, t) = −Σ_k w_k t_k ln p_k,     p = softmax(s),     ∂L/∂s = p − t  (w = 1)

Every value is that of ``nn.CrossEntropyLoss``, class weights and label smoothing included, but for four cases: a batch
that is empty or all ignored gives 0 with zero gradient (torch: NaN); −∞ on a class of soft target 0 counts as absent
(torch: NaN); a logit of +∞ and a label that is no class are errors (torch: NaN, and an assertion of the device).
A recipe's ``cross_entropy`` stays torch's: its labels are checked when the data are read, none is ignored, and the
checks cost time on every batch.
Source: decks M and R; Szegedy et al. 2016, §7 (label smoothing), arXiv:1512.00567.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from trainwell.errors import InputError
from trainwell.objectives.class_loss import ClassLoss
from trainwell.objectives.reduction import reduced


class CrossEntropy(ClassLoss):
    """Cross-entropy of class scores; finite for all finite logits.

    Args:
        weight, ignore_index, reduction, strict: see :class:`ClassLoss`.
        label_smoothing: share α of the target spread over all classes, 0..1; with it −∞ costs +∞ wherever it stands.

    Example:
        >>> CrossEntropy()(torch.tensor([[0.0, 0.0]]), torch.tensor([1]))  # ln 2
        tensor(0.6931)
        >>> CrossEntropy()(torch.zeros(0, 2), torch.zeros(0, dtype=torch.long))
        tensor(0.)
    """

    def __init__(
        self,
        weight: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        ignore_index: int = -100,
        reduction: str = "mean",
        strict: bool = True,
    ) -> None:
        super().__init__(weight, ignore_index=ignore_index, reduction=reduction, strict=strict)
        if not 0 <= label_smoothing <= 1:
            raise InputError(f"CrossEntropy: label_smoothing is {label_smoothing}.", "Give a share between 0 and 1.")
        self.label_smoothing = label_smoothing

    def of_label(self, logits: Tensor, label: Tensor) -> Tensor:
        """−ln p_y, smoothed, with its class weights; shape (n,)."""
        weight = None if self.weight is None else self.weight.to(logits.dtype)
        return cross_entropy(logits, label, weight, reduction="none", label_smoothing=self.label_smoothing)

    def _of_labels(self, logits: Tensor, label: Tensor) -> Tensor:
        counts = label != self.ignore_index
        if self.strict:
            self._check_labels(label[counts], logits.shape[1])
        label = label.masked_fill(~counts, 0)
        share = counts.to(logits.dtype)
        if self.weight is not None:
            share = share * self.weight.to(logits.dtype)[label]
        each = self.of_label(logits.masked_fill(~counts[:, None], 0.0), label).masked_fill(~counts, 0.0)
        return reduced(each, self.reduction, share)

    def _of_soft(self, logits: Tensor, target: Tensor) -> Tensor:
        target = target.to(logits.dtype)
        if self.label_smoothing:
            target = (1 - self.label_smoothing) * target + self.label_smoothing / logits.shape[1]
        if self.weight is not None:
            target = target * self.weight.to(logits.dtype)
        log_p = torch.log_softmax(logits, 1).masked_fill(target == 0, 0.0)
        return reduced(-(target * log_p).sum(1), self.reduction)
