"""Closed forms and descriptions in NumPy, without torch: what theory says of a network before it runs."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"Chain": "chain", "Layer": "chain"})
