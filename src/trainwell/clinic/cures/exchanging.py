"""A model in which calls of torch's functions are other ones while it runs, its source left as it is."""

from contextlib import AbstractContextManager
from typing import Any

from torch import nn


class Exchanging(nn.Module):
    """Runs a model, or a loss, within a mode that exchanges calls of torch's functions.

    Args:
        model: whose ``forward`` makes the calls; this one is in training where that one is.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.training = getattr(model, "training", True)

    def mode(self) -> AbstractContextManager[Any]:
        """What exchanges the calls of one forward pass."""
        raise NotImplementedError

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The model's own, with those calls exchanged."""
        with self.mode():
            return self.model(*args, **kwargs)
