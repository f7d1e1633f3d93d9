"""How well a program does: its best rehearsal, with what is needed to make another one alike."""

import math
from dataclasses import dataclass
from typing import Any

from torch.optim import Adadelta, Rprop

from trainwell.clinic.cure import Cure
from trainwell.clinic.finding import NOTABLE
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import OPENING, WHOLE, Subject

WELL = 0.93  # score of both parts from which the whole rehearsal needs no other beside it
CAUTIOUS = 3.0  # factor from which a rehearsal that fails is tried again more slowly
FAST, HURRIED = 10.0, 0.1  # times the program's pace from which a rehearsal's end is doubtful; by how much a doubling
SELF_PACED = (Adadelta, Rprop)  # they find the size of their steps step by step, whatever the rate
SLOW_STARTING = 0.25  # gain asked of a cure where they are hurried
ALIKE = 0.05  # scores that chance alone may order


@dataclass(frozen=True)
class Level:
    """How well a program does in its best rehearsal, and how that was made, so that others can be made alike."""

    run: Rehearsal
    how: dict[str, Any]

    @property
    def score(self) -> float:
        """Of the validation samples where there are some."""
        return self.run.score

    @property
    def room(self) -> float:
        """What is left to gain, on training or validation samples."""
        return 1.0 - min(self.score, self.run.train_score)

    def alike(self, cure: Cure) -> dict[str, Any]:
        """The same rehearsal for a cured program; where its training has several times as many steps, twice as many,
        and of a training of a few steps no fewer than are rehearsed of others.
        """
        steps, longer = self.how["steps"], max(cure.factor, cure.steps)
        if longer > 2:
            steps = max(2 * steps, min(WHOLE, round(longer * steps)))
        return {**self.how, "steps": steps}


def level_of(subject: Subject, *, slower: bool = True) -> Level:
    """The whole rehearsal; where it does not end well, the best of it, the opening, and a slower one where it fails.

    Args:
        subject: the program.
        slower: whether a slower one may be made.
    """
    whole = subject.whole
    how: dict[str, Any] = {"steps": round(WHOLE * subject.effort), "share": 1.0}
    levels = [Level(whole, how)]
    if min(whole.train_score, whole.score) >= WELL:
        return levels[0]
    if subject.meter.left < OPENING * subject.effort + subject.scoring:
        return levels[0]
    levels.append(Level(subject.opening, {"steps": round(OPENING * subject.effort), "share": 0.0}))
    affordable = subject.meter.left > 2 * (WHOLE * subject.effort + subject.scoring)
    failed = not whole.finite or whole.train_score < subject.opening.train_score - ALIKE
    if slower and affordable and whole.factor > CAUTIOUS and failed:
        share = 1 / math.sqrt(whole.factor)
        levels.append(Level(subject.slower(share), {**how, "share": share}))
    best = max(levels, key=lambda level: (level.run.finite, level.score + level.run.train_score))
    gained = best.score + best.run.train_score - whole.score - whole.train_score
    return levels[0] if whole.finite and gained <= ALIKE else best


def affords_level(subject: Subject) -> bool:
    """Whether passes are left for a rehearsal of the whole, with its two scores."""
    return subject.meter.left >= WHOLE * subject.effort + 2 * subject.scoring


def affords_round(subject: Subject, *, known: bool) -> bool:
    """Whether passes are left to look again and to try one cure.

    Args:
        subject: the program.
        known: its whole rehearsal is there.
    """
    once = WHOLE * subject.effort + subject.scoring
    opening = 0.0 if "opening" in vars(subject) else OPENING * subject.effort + subject.scoring
    return subject.meter.left >= once + opening + (0.0 if known else once + subject.scoring)


def needed(subject: Subject, level: Level, prior: float = 0.5, *, apart: bool = False) -> float:
    """Gain from which a cure is taken: what matters, and standard errors of the score beside it.

    The likelier the suspicion is before it is tried, the fewer of them; more is asked where the program's own rehearsal
    was so much faster or shorter than the program that it says little of its end.

    Args:
        subject: the program.
        level: how well it does.
        prior: of the suspicion.
        apart: the gain was not measured beside that rehearsal.
    """
    part = subject.scored[1] or subject.scored[0]
    score = min(max(level.score, 0.1), 0.9)
    errors = min(2.0, max(0.0, 2.25 - 2.5 * prior))
    share = level.how["share"]
    hurried = share > 0.0 and not apart
    asked = NOTABLE
    if hurried and isinstance(subject.optimizer, SELF_PACED):
        asked = SLOW_STARTING
    elif hurried:
        asked += HURRIED * max(0.0, math.log2(level.run.factor / FAST))
    return asked + errors * math.sqrt(score * (1 - score) / len(part.y))
