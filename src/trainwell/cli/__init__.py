"""The command line: one thin file a verb over ``trainwell.training.jobs``."""

from trainwell._lazy import attach

__getattr__, __dir__, __all__ = attach(__name__, {"VERBS": "verbs", "Verb": "verbs"})
