"""From suspicions to causes: each cure is tried alone on a copy, the one that gains most is taken, and so on.

A suspicion is only found if its cure gains quality in a rehearsal of the training (:mod:`rehearsal`), by more than
chance; what was suspected beside it and goes with it is folded below it as a symptom. Of two that gain alike, the one
that explains the other is the cause.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from trainwell.clinic.codes import CODES
from trainwell.clinic.cure import Cure
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.probing import suspicions
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import OPENING, WHOLE, Subject

UNLIKELY = 0.1  # prior below which a suspicion is not tried
ALIKE = 0.05  # gains that chance alone may order
ROUNDS = 4
LOOKING = 30  # passes of the probes that look before a step is taken
WELL = 0.93  # score of both parts from which the whole rehearsal needs no other beside it
CAUTIOUS = 3.0  # factor from which a rehearsal that fails is tried again more slowly
GENERALIZING = frozenset(
    ["overfitting", "class-imbalance", "train-val-leak", "duplicate-samples", "bn-train-eval-mismatch"]
)


@dataclass(frozen=True)
class Level:
    """How well a program does in its best rehearsal, and how that was made, so that others can be made alike."""

    run: Rehearsal
    how: dict[str, Any]

    @property
    def score(self) -> float:
        """Of the validation samples where there are some."""
        return self.run.score


@dataclass(frozen=True)
class Trial:
    """A cure that was tried on a copy."""

    suspicion: Suspicion
    cure: Cure
    before: Level
    run: Rehearsal
    gain: float


@dataclass
class Reasoned:
    """What came of it.

    Attributes:
        accepted: causes with the cure that won, in the order they were found.
        subject: the program with all their cures.
        suspected: all that was suspected of the program as given, the likeliest first.
        remaining: what is still suspected of the cured one.
        trials: all cures tried.
        failed: cures that could not be applied, and why.
        level: of the program as given; None where it does not run.
        cured: of the cured one.
    """

    subject: Subject
    accepted: list[Trial] = field(default_factory=list)
    suspected: list[Suspicion] = field(default_factory=list)
    remaining: list[Suspicion] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    level: Level | None = None
    cured: Level | None = None


def reason(subject: Subject) -> Reasoned:
    """Find the causes of what keeps a program from training."""
    found = Reasoned(subject)
    if not _revive(found):
        return found
    for turn in range(ROUNDS):
        level = level_of(found.subject)
        found.cured = level
        if turn == 0:
            found.level = level
        seen = suspicions(found.subject, "contract", "structure", "signal", "training")
        if turn == 0:
            found.suspected += [s for s in seen if s.code not in {old.code for old in found.suspected}]
        found.remaining = seen
        best = _best(_tried(found, seen, level), needed(found.subject, level))
        if best is None:
            break
        found.accepted.append(best)
        found.subject = found.subject.cured(best.cure)
        if best.run is not level.run and level.how["share"] == 1.0:
            found.subject.whole = best.run  # measured already
        if found.subject.meter.left < (WHOLE + OPENING) * subject.effort + LOOKING:
            break
    return found


def level_of(subject: Subject) -> Level:
    """The whole rehearsal; where it does not end well, the best of it, the opening, and a slower one where it fails."""
    whole = subject.whole
    how: dict[str, Any] = {"steps": round(WHOLE * subject.effort), "share": 1.0}
    levels = [Level(whole, how)]
    if min(whole.train_score, whole.score) >= WELL:
        return levels[0]
    levels.append(Level(subject.opening, {"steps": round(OPENING * subject.effort), "share": 0.0}))
    affordable = subject.meter.left > 2 * (WHOLE * subject.effort + subject.scoring)
    if (
        affordable
        and whole.factor > CAUTIOUS
        and (not whole.finite or whole.train_score < subject.opening.train_score - ALIKE)
    ):
        slower = {**how, "share": 1 / math.sqrt(whole.factor)}
        levels.append(Level(subject.rehearse(**slower), slower))
    return max(levels, key=lambda level: (level.run.finite, level.score + level.run.train_score))


def gain_of(code: str, before: Rehearsal, after: Rehearsal) -> float:
    """Quality won: of validation samples for what only they show, else the mean of both parts."""
    seen = after.score - before.score
    if code in GENERALIZING:
        return seen
    return (seen + after.train_score - before.train_score) / 2


def _revive(found: Reasoned) -> bool:
    """Where a step fails, take cures that change that until one runs; False if none does."""
    for _ in range(ROUNDS):
        first = found.subject.first_step
        if not first.error:
            return True
        seen = suspicions(found.subject, "contract", "structure")
        found.suspected += [s for s in seen if s.code not in {old.code for old in found.suspected}]
        found.remaining = seen
        for suspicion in seen:
            cure = next((c for c in suspicion.cures if _step_error(found.subject, c, first.error) != first.error), None)
            if cure is not None:
                broken = Rehearsal(error=first.error)
                certain = replace(suspicion, certain=True)
                found.accepted.append(Trial(certain, cure, Level(broken, {}), broken, 1.0))
                found.subject = found.subject.cured(cure)
                break
        else:
            return False
    return not found.subject.first_step.error


def _step_error(subject: Subject, cure: Cure, before: str) -> str:
    """What a step of the cured program raises; ``before`` where the cure does not fit this program."""
    try:
        return subject.cured(cure).first_step.error
    except Exception:
        return before


def _tried(found: Reasoned, seen: list[Suspicion], level: Level) -> list[Trial]:
    """Try the first cures of the likeliest suspicions, for as long as passes are left."""
    trials = list[Trial]()
    room = 1.0 - min(level.score, level.run.train_score)
    for suspicion in seen:
        if suspicion.prior < UNLIKELY and not suspicion.certain:
            continue
        for cure in suspicion.cures:
            if suspicion.gain is not None:
                measured = Trial(suspicion, cure, level, level.run, suspicion.gain)
                trials.append(measured)
                found.trials.append(measured)
                break
            if room < NOTABLE and not suspicion.certain and suspicion.code not in GENERALIZING:
                break
            how = _alike(level, cure)
            if found.subject.meter.left < how["steps"] + found.subject.scoring:
                continue
            try:
                run = found.subject.rehearse(cure, **how)
            except Exception as error:  # a cure that does not fit this program mends nothing
                found.failed.append(f"{cure.name}: {type(error).__name__}: {error}")
                continue
            trial = Trial(suspicion, cure, level, run, gain_of(suspicion.code, level.run, run))
            trials.append(trial)
            found.trials.append(trial)
            if suspicion.certain or trial.gain >= needed(found.subject, level):
                break
    return trials


def _alike(level: Level, cure: Cure) -> dict[str, Any]:
    """The same rehearsal for the cured program; twice the steps where it trains several times as long."""
    return {**level.how, "steps": level.how["steps"] * (2 if cure.factor > 2 else 1)}


def needed(subject: Subject, level: Level) -> float:
    """Gain from which a cure is taken: what matters, and the standard error of the score beside it."""
    part = subject.scored[1] or subject.scored[0]
    score = min(max(level.score, 0.1), 0.9)
    return NOTABLE + math.sqrt(score * (1 - score) / len(part.y))


def _best(trials: list[Trial], enough: float) -> Trial | None:
    """The trial to accept: a certain one, or the one that gains most; of those alike the one that explains others."""
    good = [t for t in trials if t.suspicion.certain or t.gain >= enough]
    if not good:
        return None
    best = max(good, key=lambda t: (t.suspicion.certain, t.gain + t.suspicion.prior * ALIKE))
    alike = [t for t in good if t.gain >= best.gain - ALIKE and t is not best]
    for other in alike:
        if best.suspicion.code in CODES[other.suspicion.code].explains | other.suspicion.explains:
            best = other
    return best
