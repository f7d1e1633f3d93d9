"""The lectures' claims as experiments: prediction, measurement, control, verdict; one module a claim."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Check": "experiment",
        "Entry": "catalogue",
        "Options": "single",
        "entries": "catalogue",
        "entry": "catalogue",
        "judge": "experiment",
        "run": "single",
        "run_many": "many",
    },
)
