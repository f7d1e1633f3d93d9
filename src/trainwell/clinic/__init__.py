"""The clinic: why a network does not train, what cures it, and the proof."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Change": "cure",
        "Cure": "cure",
        "CODES": "codes",
        "Exam": "exam",
        "Finding": "finding",
        "Watch": "watching",
        "examine": "exam",
        "watch": "watching",
    },
)
