"""What the exam before a training may cost, in passes of a batch, which cost what the training's own steps do.

A healthy training shall hardly notice it: max(``LEAST``, ``SHARE`` of its steps). One that is ill from the first steps
on is no training to be saved time for: it may cost ``ILL`` passes at least. Passes and no clock, so that the same
recipe gives the same exam on a busy machine.
"""

from collections.abc import Callable

from trainwell.clinic.meter import Meter

LEAST, SHARE, ILL = 30.0, 0.1, 200.0
SHOWN = 2.0  # seconds from which on the user sees that something goes on


class Allowance(Meter):
    """A meter that tells how far it is.

    Args:
        told: is told the share that is used up, once it has lasted ``SHOWN`` seconds.
    """

    def __init__(self, told: Callable[[float], None]) -> None:
        super().__init__(LEAST)
        self.told = told

    def spend(self, passes: float) -> None:
        """Note passes that were made, and tell how far it is."""
        super().spend(passes)
        if self.seconds > SHOWN:
            self.told(min(1.0, self.spent / self.allowed))

    def allow(self, steps: int) -> None:
        """Allow what a training of so many steps is worth."""
        self.allowed = max(LEAST, SHARE * steps)

    def extend(self) -> None:
        """Allow what an ill training is worth."""
        self.allowed = max(self.allowed, ILL)
