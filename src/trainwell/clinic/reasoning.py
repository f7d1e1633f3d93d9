"""From suspicions to causes: each cure is tried alone on a copy, the one that gains most is taken, and so on.

A defect by itself (labels out of range, a softmax before a loss that has its own) is mended first: it would hide what
other cures gain. Every other suspicion is only found if its cure gains quality in a rehearsal of the training
(:mod:`rehearsal`), by more than chance; what was suspected beside it and goes with it is folded below it as a symptom.
Of two that gain alike, the one that explains the other is the cause; of two that gain nothing alone, both are if they
do together.
"""

import itertools
from dataclasses import replace

from trainwell.clinic.choosing import best_of, plainly_needed
from trainwell.clinic.cure import Cure, together
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.level import Level, affords_level, affords_round, level_of
from trainwell.clinic.probing import likeliest_first, suspicions
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import LIKELY, STRONG, Trial, gain_of
from trainwell.clinic.trying import LENGTH, NEARLY_SURE, confirmed, of_our_making, try_cures

ROUNDS = 5
MUCH = 0.3  # room from which what was not tried may be named
LATE_STRONG = 0.75  # prior of what only the training shows from which it is named untried


def reason(subject: Subject) -> Reasoned:
    """Find the causes of what keeps a program from training."""
    found = Reasoned(subject, subject)
    if not _revive(found):
        return found
    for turn in range(ROUNDS):
        early = suspicions(found.subject, "contract", "structure")
        settled = found.hopeless | {trial.suspicion.code for trial in found.accepted}
        sure = [s for s in _defects(early) if s.code not in settled]
        if turn > 0 and not affords_round(found.subject, known=found.cured is not None):
            if sure and found.level is not None:  # mended all the same: that costs nothing
                _mend(found, sure, found.cured or found.level)
            _name_untried(found)
            break
        level = found.cured or level_of(found.subject, slower=not sure)
        found.cured = level
        if turn == 0:
            found.level = level
        seen = likeliest_first([*early, *suspicions(found.subject, "signal", "training")])
        if turn == 0 or sure:
            found.see(seen)
        found.remaining = seen
        trials = [] if sure else confirmed(found, try_cures(found, seen, level))
        best = best_of(found, trials, level) or plainly_needed(found, trials, level)
        if not sure and not best:
            _name_untried(found)
            break
        if sure:
            _mend(found, sure, level)
        else:
            found.accept(best)
            found.cured = best[-1].level
            if found.cured is not None:
                found.subject.whole = found.cured.run
    _without_symptoms(found)
    return found


def _without_symptoms(found: Reasoned) -> None:
    """Count a cure that was taken early, for what the next and far likelier cause brings about, to that cause."""
    for first, second in itertools.pairwise(list(found.accepted)):
        explained = first.suspicion.code in second.suspicion.brings_about
        unlikely = first.suspicion.prior < (STRONG if second.suspicion.prior >= NEARLY_SURE else LIKELY)
        if explained and unlikely and second.suspicion.prior >= STRONG:
            cure, gain = together([first.cure, second.cure]), first.gain + second.gain
            both = replace(second, cure=cure, before=first.before, gain=gain)
            found.accepted = [both if t is second else t for t in found.accepted if t is not first]


def _revive(found: Reasoned) -> bool:
    """Where a step fails, take cures that change that until one runs; False if none does."""
    for _ in range(ROUNDS):
        first = found.subject.first_step
        if not first.error:
            return True
        seen = suspicions(found.subject, "contract", "structure")
        found.see(seen)
        for suspicion in seen:
            cure = next((c for c in suspicion.cures if _step_error(found.subject, c, first.error) != first.error), None)
            if cure is not None:
                broken = Rehearsal(error=first.error)
                certain = replace(suspicion, certain=True)
                found.accept([Trial(certain, cure, Level(broken, {}), broken, 1.0)])
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


def _defects(seen: list[Suspicion]) -> list[Suspicion]:
    """What is wrong by itself and can be mended."""
    return [s for s in seen if s.certain and s.cures]


def _mend(found: Reasoned, sure: list[Suspicion], level: Level) -> None:
    """Take the cures of all that is wrong by itself, and rehearse once for all of them."""
    mended, left = list[tuple[Suspicion, Cure]](), sure
    while left and len(mended) < ROUNDS:
        cure = _fitting(found, left[0])
        if cure is None:
            found.hopeless.add(left[0].code)
            left = left[1:]
            continue
        mended.append((left[0], cure))
        found.subject = found.subject.cured(cure)
        known = {suspicion.code for suspicion, _ in mended}
        again = _defects(suspicions(found.subject, "contract", "structure"))
        left = [s for s in again if s.code not in known | found.hopeless]
    if not mended:
        return
    found.cured = level_of(found.subject) if affords_level(found.subject) else None
    run = (found.cured or level).run
    for suspicion, cure in mended:
        alone = len(mended) == 1 and found.cured is not None
        gain = gain_of(suspicion.code, level.run, run) if alone else suspicion.loss
        trial = Trial(suspicion, cure, level, run, gain)
        found.accepted.append(trial)
        found.trials.append(trial)


def _fitting(found: Reasoned, suspicion: Suspicion) -> Cure | None:
    """The first of a suspicion's cures after which a step runs."""
    for cure in suspicion.cures:
        error = _step_error(found.subject, cure, "the cure does not fit")
        if not error:
            return cure
        found.failed.append(f"{cure.name}: {error}")
    return None


def _name_untried(found: Reasoned) -> None:
    """When the passes are used up: what all but always costs quality is taken where much is left to gain."""
    level = found.cured or found.level
    if level is None or level.room < MUCH:
        return
    explained = {code for t in found.accepted for code in t.suspicion.brings_about}
    explained -= LENGTH  # no cure of something else makes a training longer
    explained |= {t.suspicion.code for t in found.accepted} | of_our_making(found)
    tried = {t.suspicion.code for t in found.trials[found.before :]}
    early = suspicions(found.subject, "contract", "structure")
    for suspicion in [*early, *(s for s in found.remaining if s.prior >= LATE_STRONG and s.gain is None)]:
        if suspicion.prior >= STRONG and suspicion.code not in explained | tried:
            cure = _fitting(found, suspicion) if suspicion.cures else None
            if cure is not None:
                explained.add(suspicion.code)
                found.accept([Trial(suspicion, cure, level, level.run, NOTABLE)])
