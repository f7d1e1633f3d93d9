"""Optimization methods, schedules of the rate and parameter groups, each usable alone in PyTorch."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "SCHEDULES": "schedules",
        "Closure": "closure",
        "METHODS": "methods",
        "Method": "methods",
        "decay_groups": "decay_groups",
        "method": "methods",
        "schedule": "schedules",
        "suggest_rate": "range_test",
    },
)
