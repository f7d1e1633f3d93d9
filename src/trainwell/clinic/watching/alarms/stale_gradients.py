"""Gradients of earlier steps that are still there when the next backward pass begins: ``zero_grad`` is missing.

Between two steps of the optimizer at least one backward pass must begin with gradients that are None or zero. Several
backward passes before a step (accumulation on purpose) pass that, and so does a net that others send gradients through
in between (a GAN). Gradients are looked at in the moment in which the backward pass comes to the loss or the net's
output, so it doesn't matter when and how the loop zeroes them.
"""

from collections.abc import Iterator

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

TWICE = 2  # looks in a row, so that a single step of another kind is no alarm


class Alarm:
    """See the file's text."""

    BLIND = "gradients that are never zeroed"

    def __init__(self) -> None:
        self._stale = 0

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Count windows in which no backward pass began with zero gradients."""
        clean = seen.window.clean
        if not clean or not seen.window.whole:
            return
        self._stale = 0 if any(clean) else self._stale + 1
        if self._stale >= TWICE:
            message = (
                "Gradients of earlier steps are still there when backward begins, and add up from step to step: call "
                "optimizer.zero_grad() once before the backward pass of each step."
            )
            yield found("stale-gradients", "optimizer.zero_grad", message, {"backward passes": len(clean)}, 0.4)
