"""Which of the cures that were tried is taken: the cause of what else was seen before its symptoms."""

from dataclasses import replace

from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import NOTABLE
from trainwell.clinic.level import ALIKE, Level, needed
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.rehearsal import GOOD
from trainwell.clinic.trials import STRONG, STUCK, Trial
from trainwell.clinic.trying import enough_for

LIKELIER = 0.2  # of the score: what a suspicion that is certain to one that is not is worth
HALF = 0.5  # of a symptom's gain is enough for a strong suspicion that explains it
NOTHING = 0.95  # room of a rehearsal that learned nothing at all, at whatever pace
NO_FALL = 0.03  # of the loss
PLAIN = 0.84  # prior of what is taken though no rehearsal shows that it helps


def best_of(found: Reasoned, trials: list[Trial], level: Level) -> list[Trial]:
    """What to accept: what gains most, of those alike the one that explains others; two that do so together."""
    good = [t for t in trials if t.gain >= enough_for(found.subject, t.before, t.suspicion)]
    if not good:
        return []
    best = max(good, key=lambda t: _worth(t) + LIKELIER * t.suspicion.prior)
    for other in good:
        explains = best.suspicion.code in other.suspicion.brings_about
        share = HALF if other.suspicion.prior >= STRONG else 1.0  # what mends a symptom by force may gain more
        if explains and _worth(other) >= min(_worth(best) - ALIKE, share * _worth(best)):
            best = other
    return [t for t in trials if t is best or (t.run is best.run and best.run is not level.run)]


def plainly_needed(found: Reasoned, trials: list[Trial], level: Level) -> list[Trial]:
    """Where nothing helps a program that does not learn: what all but always costs quality, if it does no harm."""
    known = [t for t in trials if t.suspicion.prior >= PLAIN and t.run.finite and t.gain > -ALIKE]
    if level.room < STUCK or any(not t.suspicion.certain for t in found.accepted):
        return []
    flat = level.run.finite and curve_of(level.run).descent < NO_FALL
    slow = [t for t in known if flat and t.suspicion.code == "lr-too-low"]  # which no hurry makes
    if not slow and needed(found.subject, level, 1.0) > NOTABLE and level.room < NOTHING:
        return []
    known = slow or known
    if not known:
        return []
    roots = [t for t in known if not any(t.suspicion.code in other.suspicion.brings_about for other in known)]
    best = max(roots or known, key=lambda t: (t.suspicion.prior, t.gain))
    return [replace(best, gain=max(best.gain, NOTABLE))]


def _worth(trial: Trial) -> float:
    """The gain, of which what is won beyond a good score counts little."""
    reached = [trial.run.train_score, trial.run.score]
    excess = sum(max(0.0, score - GOOD) for score in reached) / 2
    return trial.gain - 0.9 * excess
