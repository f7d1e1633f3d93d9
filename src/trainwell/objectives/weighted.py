"""The loss of each sample, from a mean-reduced loss, for sample weights and for showing the worst samples."""

import copy
from collections.abc import Callable

from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
LEAST_WEIGHT = 1e-30  # of a batch whose weights are all zero: its loss is 0, not 0 / 0


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Σ wᵢ vᵢ / Σ wᵢ, a scalar; 0 where all weights are zero. Both have shape (n,)."""
    return (values * weight).sum() / weight.sum().clamp_min(LEAST_WEIGHT)


def per_sample(loss: Loss) -> Loss | None:
    """A copy of ``loss`` that returns shape (n,), or None where the loss has no ``reduction`` to switch off.

    Works for torch's losses and for modules that hold exactly one of them (:class:`StandardizedLoss`).
    """
    if not isinstance(loss, nn.Module):
        return None
    unreduced = copy.deepcopy(loss)
    reducing = [m for m in unreduced.modules() if isinstance(getattr(m, "reduction", None), str)]
    if len(reducing) != 1:
        return None
    setattr(reducing[0], "reduction", "none")  # noqa: B010 - torch declares no such attribute on Module

    def each(output: Tensor, target: Tensor) -> Tensor:
        values = unreduced(output, target)
        return values.flatten(1).mean(1) if values.dim() > 1 else values

    return each
