"""How often a close look is taken: as often as the watch's own time allows.

    k = steps between looks:  own time so far + cost of the next look ≤ share · time of the loop so far

Where steps are so short that even the few microseconds of a step without a look are too much, whole steps are passed
over in the same way, once ``UNNOTICED`` seconds are spent.

The own time is measured on the watch's clock around everything that it does. What PyTorch spends on calling hooks is
not on that clock, so the share that is aimed at is below the one that is promised.
"""

import time

PROMISED = 0.03  # of the time of a step
AIM = 0.6  # of what is promised: the rest is for calls that the clock does not see
UNNOTICED = 0.05  # seconds
FIRST = 3  # steps at the beginning that are looked at whatever it costs: most mistakes are there from the first step


class Pace:
    """Keeps the watch's own time, and tells when a look is due.

    Args:
        share: of the loop's time that the watch may take.
    """

    def __init__(self, share: float = PROMISED) -> None:
        self.share = share
        self.spent = 0.0  # by what is done at every step, and by looks
        self.looks = 0
        self._looked = 0.0
        self._began: float | None = None
        self._before = 0.0

    def begin(self) -> None:
        """Start the loop's clock, or start it again."""
        self._began = time.perf_counter()

    def end(self) -> None:
        """Stop the loop's clock."""
        self._before = self.elapsed
        self._began = None

    @property
    def elapsed(self) -> float:
        """Seconds of the loop so far, the watch's own included."""
        return self._before + (0.0 if self._began is None else time.perf_counter() - self._began)

    @property
    def part(self) -> float:
        """Of the loop's time without the watch, what the watch took so far."""
        bare = self.elapsed - self.spent
        return self.spent / bare if bare > 0 else 0.0

    def looked(self, seconds: float) -> None:
        """Note what a look took; ``spent`` has it already."""
        self.looks += 1
        self._looked += seconds

    def due(self, step: int) -> bool:
        """Whether the next step, which has this number, is looked at."""
        if step <= FIRST:
            return True
        expected = self._looked / self.looks if self.looks else 0.0
        return self.spent + expected <= AIM * self.share * (self.elapsed - self.spent)

    @property
    def tired(self) -> bool:
        """Whether the next step is better passed over."""
        return self.spent > UNNOTICED and self.spent > self.share * (self.elapsed - self.spent)
