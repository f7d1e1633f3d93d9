"""The watch: sits beside any training loop and speaks once a problem, the moment it happens."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(
    __name__,
    {
        "Watch": "watch",
        "WatchedRun": "run",
        "watch": "watch",
    },
)
