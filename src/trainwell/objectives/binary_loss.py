"""A loss of single scores against yes (1) or no (0), as binary cross-entropy is.

    L(s, t) = w₁ t ℓ(s) + w₀ (1 − t) ℓ(−s)

ℓ(s) is the loss of score s where the answer is yes; it falls with s. No elements give 0 with zero gradient (torch:
NaN), −∞ is allowed where the target is 0, and a score of +∞ is an error.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.reduction import check_reduction, reduced, refuse_plus_infinity


class BinaryLoss(nn.Module, ABC):
    """Base of the losses of single scores; a subclass gives ``of_score``.

    Args:
        reduction: "mean" over all elements, "sum" or "none".
        strict: raise for a score of +∞ (see :class:`ClassLoss`).
        weights: (w₁, w₀), of the positives and of the negatives.
    """

    def __init__(
        self, *, reduction: str = "mean", strict: bool = True, weights: tuple[float, float] = (1.0, 1.0)
    ) -> None:
        super().__init__()
        self.reduction = check_reduction(type(self).__name__, reduction)
        self.strict = strict
        self.weights = weights

    @abstractmethod
    def of_score(self, score: Tensor) -> Tensor:
        """ℓ(s) of every element where the answer is yes, the score's shape."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss; both of one shape, target 0, 1 or between (not ±1); −∞ is allowed where the target is 0.

        Raises:
            InputError: for unequal shapes; if strict, for a score of +∞.
        """
        name = type(self).__name__
        if logits.shape != target.shape:
            raise InputError(
                f"{name}: scores {tuple(logits.shape)} do not fit targets {tuple(target.shape)}.",
                "Give both the same shape.",
            )
        if self.strict:
            refuse_plus_infinity(name, logits)
        target = target.to(logits.dtype)
        yes = self.of_score(logits.masked_fill(target == 0, 0.0))
        no = self.of_score(-logits.masked_fill(target == 1, 0.0))
        return reduced(self.weights[0] * target * yes + self.weights[1] * (1 - target) * no, self.reduction)
