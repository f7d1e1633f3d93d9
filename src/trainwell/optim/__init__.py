"""Optimization methods, schedules of the rate and parameter groups, each usable alone in PyTorch."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "SCHEDULES": "schedules",
        "adamw": "methods",
        "decay_groups": "decay_groups",
        "METHODS": "methods",
        "schedule": "schedules",
        "sgd": "methods",
        "suggest_rate": "range_test",
    },
)
