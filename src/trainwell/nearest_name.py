"""The name a user may have meant."""

import difflib
from collections.abc import Iterable


def nearest(word: str, words: Iterable[str], otherwise: str = "") -> str:
    """A sentence that proposes the most similar of ``words``, or ``otherwise``.

    Example:
        >>> nearest("cifra10", ["mnist", "cifar10"])
        "Did you mean 'cifar10'?"
    """
    lowered = {candidate.lower(): candidate for candidate in words}
    close = difflib.get_close_matches(word.lower(), lowered, n=1, cutoff=0.5)
    return f"Did you mean {lowered[close[0]]!r}?" if close else otherwise
