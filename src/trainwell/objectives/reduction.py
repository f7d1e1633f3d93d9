"""From the losses of the samples to one number: mean, sum, or none.

The mean over no samples is 0 here, with zero gradient; torch's own losses give NaN, which poisons every weight when the
last batch of an epoch happens to be empty or all ignored.
"""

import torch
from torch import Tensor

from trainwell.errors import InputError

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str) -> str:
    """The reduction, if it is one.

    Raises:
        InputError: if it is none of ``REDUCTIONS``.
    """
    if reduction not in REDUCTIONS:
        raise InputError(f"{name}: reduction is {reduction!r}.", f"Choose one of {', '.join(REDUCTIONS)}.")
    return reduction


def reduced(values: Tensor, reduction: str, weight: Tensor | None = None) -> Tensor:
    """Σ values / Σ weight for "mean", Σ values for "sum", values for "none".

    Args:
        values: any shape; already multiplied by their weights, 0 where a sample does not count.
        reduction: one of ``REDUCTIONS``.
        weight: same shape, ≥ 0; all ones if None. Where they sum to 0 the mean is 0 (torch: NaN).
    """
    if reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    if weight is None:
        return values.sum() / max(1, values.numel())
    total = weight.sum()
    return values.sum() / torch.where(total > 0, total, torch.ones_like(total))


def refuse_plus_infinity(name: str, logits: Tensor) -> None:
    """Raise unless every logit is below +∞ (NaN passes, so that a loop that watches for it sees it).

    Raises:
        InputError: naming how many logits are +∞.
    """
    count = int(torch.isposinf(logits).sum())
    if count:
        raise InputError(
            f"{name}: {count} of {logits.numel()} logits are +inf, for which the loss is not defined.",
            "The model's output has overflowed: lower the learning rate, clip gradients, or mask with -inf.",
        )
