"""The loss of each sample of a batch, from any loss whatever."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.objectives.weighted import per_sample


def each_sample(loss: Callable[[Any, Any], Tensor]) -> Callable[[Any, Any], Tensor]:
    """A function of (output, target) that gives shape (n,), one loss a sample.

    It is the loss's own method ``each`` where it has one, the loss without its reduction where it has one to switch
    off, and otherwise the loss of every row alone, one call a sample: right for every mean over samples, but slow.
    """
    own = getattr(loss, "each", None)
    if callable(own):
        return own
    unreduced = per_sample(loss)
    if unreduced is not None:
        return unreduced

    def each(output: Any, target: Any) -> Tensor:
        return torch.stack([loss(output[i : i + 1], target[i : i + 1]) for i in range(len(target))])

    return each
