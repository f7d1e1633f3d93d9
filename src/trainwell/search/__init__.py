"""Searching: a race of methods on equal terms."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Entry": "outcome",
        "Look": "outcome",
        "Race": "outcome",
        "Trial": "outcome",
        "race": "racing",
    },
)
