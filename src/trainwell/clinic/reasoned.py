"""What the reasoning knows so far: suspicions, trials, accepted cures, and the program with them."""

from dataclasses import dataclass, field

from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import Level
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import Trial


@dataclass
class Reasoned:
    """What came of it.

    Attributes:
        given: the program as it was given.
        subject: the program with all their cures.
        accepted: causes with the cure that won, in the order they were found.
        suspected: all that was suspected of the program as given, the likeliest first.
        remaining: what is still suspected of the cured one.
        trials: all cures tried.
        failed: cures that could not be applied, and why.
        hopeless: codes of defects that no cure fits.
        level: of the program as given; None where it does not run.
        cured: of the cured one.
        before: trials that were made before the last cure was taken.
    """

    given: Subject
    subject: Subject
    accepted: list[Trial] = field(default_factory=list)
    suspected: list[Suspicion] = field(default_factory=list)
    remaining: list[Suspicion] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    hopeless: set[str] = field(default_factory=set)
    level: Level | None = None
    cured: Level | None = None
    before: int = 0

    def see(self, seen: list[Suspicion]) -> None:
        """Note what is suspected now, and add what is new."""
        self.remaining = seen
        first = {one.code: one for one in reversed([*self.suspected, *seen])}  # the likeliest of each code
        known = {old.code for old in self.suspected}
        self.suspected += [one for code, one in reversed(first.items()) if code not in known]

    def accept(self, trials: list[Trial]) -> None:
        """Take these cures, one after the other."""
        self.accepted += trials
        self.before = len(self.trials)
        for trial in trials:
            self.subject = self.subject.cured(trial.cure)
