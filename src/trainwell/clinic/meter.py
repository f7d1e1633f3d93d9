"""What an exam has spent: passes (forward and backward of one batch), and seconds of the processor's clock."""

import time

FORWARD = 1 / 3  # of a pass: the backward pass costs about twice the forward one


class Meter:
    """Counts passes against an allowance.

    Args:
        allowed: passes.
    """

    def __init__(self, allowed: float) -> None:
        self.allowed, self.spent, self.began = allowed, 0.0, time.perf_counter()

    @property
    def left(self) -> float:
        """Passes that may still be spent."""
        return max(0.0, self.allowed - self.spent)

    @property
    def seconds(self) -> float:
        """Since the exam began."""
        return time.perf_counter() - self.began

    def spend(self, passes: float) -> None:
        """Note passes that were made."""
        self.spent += passes
