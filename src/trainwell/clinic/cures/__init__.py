"""One file a kind of cure; each function returns a ``Cure``."""
