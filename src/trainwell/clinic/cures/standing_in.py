"""A module in the place of another, of which the model may go on to ask what it asked of that one."""

from typing import Any

from torch import nn


class StandsIn(nn.Module):
    """Passes on what it does not know itself: ``in_features``, ``weight``, ``embedding_dim`` …

    Args:
        layer: in whose place it stands.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name.startswith("__") or "layer" not in vars(self).get("_modules", {}):
                raise
            return getattr(self._modules["layer"], name)
