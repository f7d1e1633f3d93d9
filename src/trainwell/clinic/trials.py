"""A cure tried on a copy: rehearsed like the program itself, or more slowly where it may not bear that pace."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from trainwell.clinic.cure import Cure
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import ALIKE, CAUTIOUS, FAST, Level
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import OPENING, WHOLE, Subject

LIKELY = 0.45  # prior from which a cure is given a second rehearsal, at another pace
STRONG = 0.7  # prior from which that is worth the last passes, and a suspicion is named untried when there are none
FORESEEN = 2.0  # passes of probes that look again
STUCK = 0.5  # room from which a program's own whole rehearsal is one that learned next to nothing
SWINGS = 0.85  # prior of steps that are too long from which no rest need be shown
REST, RESTING = 30, 0.05  # steps that show it; share of the first loss that the last third of them brings
OVERSHOT = frozenset(["lr-too-high", "momentum-too-high"])
GENERALIZING = frozenset(
    ["overfitting", "class-imbalance", "train-val-leak", "duplicate-samples", "bn-train-eval-mismatch"]
)
# What shows over the whole training alone.
LATE = frozenset(
    [
        "too-few-epochs",
        "lr-too-low",
        "overfitting",
        "batch-size-extreme",
        "momentum-too-high",
        "weight-decay-too-high",
        "unused-parameters",
    ]
)


@dataclass(frozen=True)
class Trial:
    """A cure that was tried on a copy.

    Attributes:
        suspicion, cure: what was tried.
        before: how the program did without it.
        run: how it did with it.
        gain: of quality.
        how: the rehearsal's settings; empty where nothing was rehearsed.
        beside: code of what was cured in the same rehearsal, or "".
    """

    suspicion: Suspicion
    cure: Cure
    before: Level
    run: Rehearsal
    gain: float
    how: dict[str, Any] = field(default_factory=dict)
    beside: str = ""

    @property
    def level(self) -> Level | None:
        """Of the cured program, where its whole training was rehearsed and came to its end."""
        measured = self.run is not self.before.run and self.run.finite and self.how.get("share") == 1.0
        return Level(self.run, self.how) if measured else None


def gain_of(code: str, before: Rehearsal, after: Rehearsal) -> float:
    """Quality won: of validation samples for what only they show, else the mean of both parts."""
    seen = after.score - before.score
    if code in GENERALIZING:
        return seen
    return (seen + after.train_score - before.train_score) / 2


def tried(subject: Subject, suspicion: Suspicion, cure: Cure, level: Level, enough: float) -> Trial | None:
    """Rehearse the cured program, once or twice; None where the passes do not suffice.

    Args:
        subject: the program so far.
        suspicion: what the cure is for.
        cure: to try.
        level: of the program so far.
        enough: gain from which a second rehearsal is not needed.

    Raises:
        Exception: what the cure raises where it does not fit the program.
    """
    level, best = _compared(subject, suspicion, level), None
    if suspicion.code == "too-few-epochs" and 0.0 < level.how["share"] < 1.0:
        return None  # a part of the training says nothing of its length
    for how in _paces(subject, suspicion, cure, level):
        own_pace = how["share"] == 0.0 and level.how["share"] > 0.0
        if own_pace and best is not None and best.run.finite:
            break  # that is for what bears no other
        cost = how["steps"] + subject.scoring + FORESEEN
        if subject.meter.left < (cost if best is None or suspicion.prior >= STRONG else 2 * cost):
            break
        run = subject.rehearse(cure, **how)
        trial = Trial(suspicion, cure, level, run, _won(subject, suspicion, level, run, enough), how)
        best = trial if best is None or trial.gain > best.gain else best
        other_pace = level.how["share"] == 0.0  # at its own a few steps may not show what is gained
        if suspicion.prior < LIKELY or best.gain >= enough or not (other_pace or _failed(suspicion, level, run)):
            break
    return best


def _won(subject: Subject, suspicion: Suspicion, level: Level, run: Rehearsal, enough: float) -> float:
    """The gain, less what the hurry of the program's own rehearsal alone may have cost it."""
    gain = gain_of(suspicion.code, level.run, run)
    fast = {"lr-too-low": FAST}.get(suspicion.code, math.inf if suspicion.code in LATE else CAUTIOUS)
    unsure = suspicion.prior < STRONG and level.run.factor > fast
    doubtful = gain >= enough and (suspicion.guessed or unsure)
    if level.run is subject.whole and (suspicion.code in OVERSHOT or doubtful):
        gain -= 2 * _hurt_by_hurry(subject, look=doubtful)  # as much again its own pace would bring
    return gain


def _failed(suspicion: Suspicion, level: Level, run: Rehearsal) -> bool:
    """Whether the pace may be what was wrong with a trial: it did worse, of a strong suspicion no better."""
    if not run.finite or curve_of(run).descent < 0:
        return True
    gained = run.train_score - level.run.train_score
    return gained <= 0.0 if suspicion.prior >= STRONG else gained < -ALIKE


def _hurt_by_hurry(subject: Subject, *, look: bool) -> float:
    """What a slower rehearsal does better; it is made, if it can be afforded, to ``look``."""
    factor = subject.whole.factor
    if look and factor > CAUTIOUS and subject.meter.left >= WHOLE * subject.effort + subject.scoring:
        subject.slower(1 / math.sqrt(factor))
    return subject.hurt_by_hurry


def affords_repetition(subject: Subject, trial: Trial) -> bool:
    """Whether passes are left to rehearse a trial, and what it was compared with, once more."""
    if not trial.how:
        return False
    return subject.meter.left >= trial.how["steps"] + trial.before.how["steps"] + 2 * subject.scoring


def repeated(subject: Subject, trial: Trial, turn: int) -> Trial:
    """The trial with its gain averaged over another draw of the order of the samples, with and without the cure.

    Args:
        subject: the program so far.
        trial: that came out close to what is asked.
        turn: 1 for the first repetition.
    """
    own = subject.rehearse(None, again=turn, **trial.before.how)
    run = subject.rehearse(trial.cure, again=turn, **trial.how)
    return replace(trial, gain=(turn * trial.gain + gain_of(trial.suspicion.code, own, run)) / (turn + 1))


def _compared(subject: Subject, suspicion: Suspicion, level: Level) -> Level:
    """What shows late, or swings, is compared over the whole training, not over its opening; steps that are too long
    with a program that has come to rest at its own pace, as shorter ones, which are slower at first, bear a faster one.
    """
    if level.how["share"] > 0.0:
        return level
    overshot, whole = suspicion.code in OVERSHOT and suspicion.prior >= LIKELY, subject.whole
    swings = overshot and suspicion.prior >= SWINGS and whole.finite
    if overshot and not swings and _affords_longer(subject) and _rests(subject.longer):
        return Level(subject.longer, {"steps": whole.steps, "share": 1.0})
    late = suspicion.code in LATE or (suspicion.code == "lr-too-high" and subject.program.scheduler is not None)
    return Level(whole, {"steps": whole.steps, "share": 1.0}) if late and whole.finite else level


def _affords_longer(subject: Subject) -> bool:
    """Whether passes are left for the longer opening of a program without a schedule, and for a trial beside it."""
    cost = 0.0 if "longer" in vars(subject) else 2 * (OPENING * subject.effort + subject.scoring)
    whole = WHOLE * subject.effort + subject.scoring
    return subject.program.scheduler is None and subject.meter.left >= cost + whole


def _rests(run: Rehearsal) -> bool:
    """Whether the loss does not fall, or no more."""
    if not run.finite or len(run.losses) < REST:
        return False
    losses = np.array(run.losses)
    third, start = len(losses) // 3, abs(float(losses[:3].mean()))
    middle, end = float(losses[third : 2 * third].mean()), float(losses[-third:].mean())
    return end > losses[:3].mean() - RESTING * start or middle - end < RESTING * start


def _paces(subject: Subject, suspicion: Suspicion, cure: Cure, level: Level) -> Iterator[dict[str, Any]]:
    """The program's own pace, and one at the root of it; that alone where the program bore its own only because it
    learned nothing. Less of the training is then rehearsed, so that a gain is rather larger than it seems.
    """
    own = level.alike(cure)
    factor = max(1.0, own["share"] * subject.steps * max(1.0, cure.steps) / own["steps"])
    slower = {**own, "share": own["share"] / math.sqrt(factor)}
    if own["share"] == 0.0 or factor <= CAUTIOUS:
        yield own
        if own["share"] == 0.0:  # at the other the program itself did no better
            yield {**own, "steps": round(WHOLE * subject.effort), "share": subject.slower_share or 1.0}
    elif _swings_in_a_hurry(subject, suspicion, level):
        yield slower
        yield own
    elif level.room > STUCK and factor > CAUTIOUS**2 and suspicion.code not in LATE:
        yield slower
    else:
        yield own
        yield slower
        if not level.run.finite and suspicion.code not in OVERSHOT:  # then any end is a gain, at whatever pace
            yield {**own, "share": 0.0}


def _swings_in_a_hurry(subject: Subject, suspicion: Suspicion, level: Level) -> bool:
    """Whether a cured program may not bear the pace: of steps too long, before or now, or of small batches."""
    if suspicion.code == "batch-size-extreme" or (suspicion.code == "lr-too-low" and suspicion.where == "scheduler"):
        return True
    if level.run is subject.__dict__.get("longer"):
        return True
    return suspicion.code in OVERSHOT and suspicion.prior >= SWINGS
