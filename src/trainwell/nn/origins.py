"""Where the tensors of one forward pass come from: steps of the chain, or tensors that the model owns.

A tensor's origins are the steps whose numbers it holds; views, slices and permutations hold those of what they were
made of. A tensor without origins has at most a name: of the parameter, buffer or table that it was made of.
"""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.weak import WeakTensorKeyDictionary

INPUT = -1
"""The origin of what the net is given."""

_NEW = ("new_zeros", "new_ones", "new_full", "new_empty", "new_tensor")


class Origins:
    """Origins and names of the tensors that are alive.

    Args:
        model: whose parameters and buffers have names.
    """

    def __init__(self, model: nn.Module) -> None:
        self.steps = WeakTensorKeyDictionary()
        self.names = WeakTensorKeyDictionary()
        for name, tensor in (*model.named_parameters(), *model.named_buffers()):
            self.names[tensor] = name

    def of(self, value: Any) -> tuple[int, ...]:
        """Return the origins of all tensors in ``value``, in their order."""
        return tuple(step for tensor in tensors_in(value) for step in self.steps.get(tensor, ()))

    def mark(self, value: Any, step: int) -> None:
        """Say that ``step`` gave these tensors."""
        for tensor in tensors_in(value):
            self.steps[tensor] = (step,)

    def name(self, value: Any, name: str) -> None:
        """Say that these tensors belong to the model."""
        for tensor in tensors_in(value):
            self.names[tensor] = name

    def owned(self, value: Any) -> list[str]:
        """Return the names of the tensors without origins."""
        found = (self.names.get(tensor) for tensor in tensors_in(value) if tensor not in self.steps)
        return [name for name in found if name is not None]

    def pass_on(self, function: str, read: Any, given: Any) -> None:
        """Say that ``given`` holds the numbers of ``read``."""
        if function in _NEW or function.endswith("_like"):
            return
        origins, names = tuple(dict.fromkeys(self.of(read))), self.owned(read)
        for tensor in tensors_in(given):
            if origins:
                self.steps[tensor] = origins
            elif names:
                self.names[tensor] = names[0]


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)
