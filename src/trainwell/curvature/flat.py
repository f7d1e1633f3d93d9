"""Lists of tensors as one vector: entries in the order of the list, each tensor row by row."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor


def flatten(tensors: Sequence[Tensor]) -> Tensor:
    """One vector (n,) of all entries."""
    return torch.cat([t.reshape(-1) for t in tensors])


def unflatten(vector: Tensor, shapes: Sequence[torch.Size]) -> list[Tensor]:
    """The inverse: views of ``vector`` (n,) in the given shapes, which have n entries together."""
    sizes = [shape.numel() for shape in shapes]
    starts = accumulate(sizes, initial=0)
    return [vector[a : a + size].view(shape) for a, size, shape in zip(starts, sizes, shapes, strict=False)]
