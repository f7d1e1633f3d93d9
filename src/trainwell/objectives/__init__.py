"""Losses by name, with their class weights, smoothing and scales."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {"LOSSES": "losses", "StandardizedLoss": "standardized", "build_loss": "losses", "per_sample": "weighted"},
)
