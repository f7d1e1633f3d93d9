"""Hooks that stay behind when the module that carries them is copied or saved."""

from collections.abc import Callable
from typing import Any


def nothing(*args: Any) -> None:
    """Do nothing."""


class Hook:
    """A hook of this one module: in a copy or a pickle of the module it does nothing.

    A plain method would drag the watch, and with it the optimizer and the batches, into every copy of the net.
    """

    def __init__(self, call: Callable[..., Any] = nothing) -> None:
        self._call = call

    def __call__(self, *args: Any) -> Any:
        return self._call(*args)

    def __reduce__(self) -> tuple[Any, ...]:
        return Hook, ()
