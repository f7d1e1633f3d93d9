"""A rate at which the weights stay where they are.

A step that changes the weights by a share u of their norm changes them by at most n·u in n steps: at u = 1e-6 ten
thousand steps move them by less than a hundredth, and below 6e-8 float32 rounds the step away. The largest step so far
counts, and a rate that still rises (warm-up) is waited for; of a net whose loss falls all the same (to first order, by
more than the same share a step) nothing is said.
"""

from collections.abc import Iterator

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

STILL = 1e-6
STEPS, LOOKS = 32, 6


class Alarm:
    """See the file's text."""

    BLIND = "a rate that is far too low"

    def __init__(self) -> None:
        self._largest = self._gain = 0.0
        self._rates: list[float] = []

    def look(self, seen: Seen) -> Iterator[Finding]:
        """Keep the largest step so far, and judge it."""
        look = seen.look
        assert look is not None
        if not look.change >= 0 or look.gradient == 0:  # nothing was updated, or it is not for the rate
            return
        self._largest = max(self._largest, look.change)
        if seen.losses and seen.losses[-1] != 0:
            self._gain = max(self._gain, look.gain / abs(seen.losses[-1]))
        self._rates.append(max(seen.rates.values(), default=0.0))
        if self._largest >= STILL or self._gain >= STILL or seen.step < STEPS or len(self._rates) < LOOKS:
            return
        if self._rates[-1] <= 0 or self._rates[-1] > min(self._rates[-LOOKS:]):
            return
        message = (
            f"At the rate {self._rates[-1]:g} a step changes the weights by {self._largest:.1g} of their norm at most: "
            "ten thousand steps would not move them by a hundredth. Multiply the rate by 100, or look for its range."
        )
        evidence = {"rate": self._rates[-1], "largest relative change": self._largest}
        yield found("lr-too-low", "optimizer.lr", message, evidence, 0.4)
