"""The loss of each sample, from a mean-reduced loss, for sample weights and for showing the worst samples."""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Loss = Callable[[Tensor, Tensor], Tensor]
LEAST_WEIGHT = 1e-30  # of a batch whose weights are all zero: its loss is 0, not 0 / 0


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Σ wᵢ vᵢ / Σ wᵢ, a scalar; 0 where all weights are zero. Both have shape (n,)."""
    return (values * weight).sum() / weight.sum().clamp_min(LEAST_WEIGHT)


def per_sample(loss: Loss) -> Loss | None:
    """``loss`` without its mean, shape (n,), or None where the loss has no ``reduction`` to switch off.

    Works for torch's losses and for modules that hold exactly one of them (:class:`StandardizedLoss`). The loss itself
    is called, whose reduction is "none" meanwhile: learned weights of it stay its own, and nothing is copied.
    """
    if not isinstance(loss, nn.Module):
        return None
    reducing: list[Any] = [m for m in loss.modules() if isinstance(getattr(m, "reduction", None), str)]
    if len(reducing) != 1:
        return None

    def each(output: Tensor, target: Tensor) -> Tensor:
        usual = reducing[0].reduction
        reducing[0].reduction = "none"
        try:
            values: Tensor = loss(output, target)
        finally:
            reducing[0].reduction = usual
        return values.flatten(1).mean(1) if values.dim() > 1 else values

    return each
