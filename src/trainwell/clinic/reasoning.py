"""From suspicions to causes: each cure is tried alone on a copy, the one that gains most is taken, and so on.

A defect by itself (labels out of range, a softmax before a loss that has its own) is mended first: it would hide what
other cures gain. Every other suspicion is only found if its cure gains quality in a rehearsal of the training
(:mod:`rehearsal`), by more than chance; what was suspected beside it and goes with it is folded below it as a symptom.
Of two that gain alike, the one that explains the other is the cause; of two that gain nothing alone, both are if they
do together.
"""

import itertools
from dataclasses import dataclass, field, replace

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.level import ALIKE, WELL, Level, affords_level, affords_round, level_of, needed
from trainwell.clinic.probing import likeliest_first, suspicions
from trainwell.clinic.rehearsal import GOOD, Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import (
    GENERALIZING,
    LIKELY,
    STRONG,
    STUCK,
    Trial,
    affords_repetition,
    gain_of,
    repeated,
    tried,
)

UNLIKELY = 0.1  # prior below which a suspicion is not tried
HALF = 0.5  # of a symptom's gain is enough for a strong suspicion that explains it
SOME, MUCH = 0.2, 0.3  # room from which a trial of both is worth it; from which what was not tried may be named
PLAIN = 0.85  # prior of what is taken then even where no rehearsal shows that it helps
ROUNDS = 5
LENGTH = frozenset(["too-few-epochs", "overfitting"])  # of the training
CLOSE, REPEATED = 0.03, 2  # gain beside what is asked from which a trial is repeated, so often at most


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

    def see(self, seen: list[Suspicion]) -> None:
        """Note what is suspected now, and add what is new."""
        self.remaining = seen
        first = {one.code: one for one in reversed([*self.suspected, *seen])}  # the likeliest of each code
        known = {old.code for old in self.suspected}
        self.suspected += [one for code, one in reversed(first.items()) if code not in known]

    def accept(self, trials: list[Trial]) -> None:
        """Take these cures, one after the other."""
        self.accepted += trials
        for trial in trials:
            self.subject = self.subject.cured(trial.cure)


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
        trials = [] if sure else _confirmed(found, _tried(found, seen, level))
        best = _best(found, trials, level) or _plain(found, trials, level)
        if not sure and not best:
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
        if explained and first.suspicion.prior < LIKELY and second.suspicion.prior >= STRONG:
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


def _tried(found: Reasoned, seen: list[Suspicion], level: Level) -> list[Trial]:
    """Try the first cures of the likeliest suspicions, for as long as passes are left."""
    trials, own = list[Trial](), _of_our_making(found)
    for suspicion in seen:
        if suspicion.prior < UNLIKELY or not suspicion.cures or suspicion.code in own:
            continue
        enough = _enough(found.subject, level, suspicion)
        if suspicion.guessed and (found.accepted or any(t.gain >= enough for t in trials)):
            continue
        if suspicion.gain is not None:
            trials.append(Trial(suspicion, suspicion.cures[0], level, level.run, suspicion.gain))
            found.trials.append(trials[-1])
            continue
        if level.room < NOTABLE and suspicion.code not in GENERALIZING:
            continue
        if _settled(trials, suspicion, enough) or _explained(found, trials, suspicion):
            continue
        for cure in suspicion.cures:
            trial = _trial(found, suspicion, cure, level, enough)
            if trial is not None:
                trials.append(trial)
                if trial.gain >= enough:
                    break
        pair = [t for t in trials if t.suspicion.prior >= LIKELY and t.suspicion.gain is None]
        firsts = list({t.suspicion.code: t for t in reversed(pair)}.values())[::-1]
        if (
            len(firsts) == 2
            and not _same_matter(firsts)
            and level.room >= SOME
            and max(t.gain for t in trials) < enough
        ):
            trials += _pair(found, firsts, level, enough)
    return trials


def _of_our_making(found: Reasoned) -> frozenset[str]:
    """What a cure that was taken brings about: one that changes how long the training is makes it too long or short."""
    changed = any(trial.cure.steps != 1.0 or trial.suspicion.code in LENGTH for trial in found.accepted)
    return LENGTH if changed else frozenset()


def _confirmed(found: Reasoned, trials: list[Trial]) -> list[Trial]:
    """The trials; where the best comes out close to what is asked, it is repeated while passes are left."""

    def beyond(trial: Trial) -> float:
        return trial.gain - _enough(found.subject, trial.before, trial.suspicion)

    for turn in range(1, REPEATED + 1):
        own = [t for t in trials if t.suspicion.gain is None and t.run is not t.before.run]
        best = max(own, key=beyond, default=None)
        if best is None or abs(beyond(best)) >= CLOSE or not affords_repetition(found.subject, best):
            break
        again = repeated(found.subject, best, turn)
        trials = [again if t is best else t for t in trials]
        found.trials = [again if t is best else t for t in found.trials]
    return trials


def _enough(subject: Subject, level: Level, suspicion: Suspicion) -> float:
    """Gain from which a cure is taken; of a guess much more, as a net drawn anew may just have better luck."""
    apart = suspicion.gain is not None
    return needed(subject, level, suspicion.prior, apart=apart) + (MUCH if suspicion.guessed else 0.0)


def _same_matter(pair: list[Trial]) -> bool:
    """Whether one of two is what the other brings about."""
    a, b = (t.suspicion for t in pair)
    return b.code in a.brings_about or a.code in b.brings_about


def _settled(trials: list[Trial], suspicion: Suspicion, enough: float) -> bool:
    """Whether a cure does so well that nothing else need be tried, but what might be the cause of it."""
    good = [t for t in trials if t.gain >= enough and min(t.run.train_score, t.run.score) >= WELL]
    mine = suspicion.brings_about
    return bool(good) and not any(t.suspicion.code in mine for t in good)


def _explained(found: Reasoned, trials: list[Trial], suspicion: Suspicion) -> bool:
    """Whether a far likelier cause that helps brings it about: if it stays, the next round tries it."""
    if suspicion.prior >= LIKELY:
        return False
    strong = [t for t in trials if t.suspicion.prior >= STRONG and suspicion.code in t.suspicion.brings_about]
    return any(t.gain >= _enough(found.subject, t.before, t.suspicion) for t in strong)


def _trial(found: Reasoned, suspicion: Suspicion, cure: Cure, level: Level, enough: float) -> Trial | None:
    try:
        trial = tried(found.subject, suspicion, cure, level, enough)
    except Exception as error:  # a cure that does not fit this program mends nothing
        found.failed.append(f"{cure.name}: {type(error).__name__}: {error}")
        return None
    if trial is not None:
        found.trials.append(trial)
    return trial


def _pair(found: Reasoned, firsts: list[Trial], level: Level, enough: float) -> list[Trial]:
    """Two that gain too little alone, tried together: both are causes where that gains enough."""
    firsts = sorted(firsts, key=lambda t: t.cure.wraps)  # what names parameters comes before what renames them
    both = _trial(found, firsts[0].suspicion, together([t.cure for t in firsts]), level, enough)
    if both is None or both.gain - max(0.0, *(t.gain for t in firsts)) < enough:
        return []
    return [replace(both, suspicion=t.suspicion, cure=t.cure) for t in firsts]


def _best(found: Reasoned, trials: list[Trial], level: Level) -> list[Trial]:
    """What to accept: what gains most, of those alike the one that explains others; two that do so together."""
    good = [t for t in trials if t.gain >= _enough(found.subject, t.before, t.suspicion)]
    if not good:
        return []
    best = max(good, key=lambda t: _worth(t) + 4 * ALIKE * t.suspicion.prior)
    for other in good:
        explains = best.suspicion.code in other.suspicion.brings_about
        share = HALF if other.suspicion.prior >= STRONG else 1.0  # what mends a symptom by force may gain more
        if explains and _worth(other) >= min(_worth(best) - ALIKE, share * _worth(best)):
            best = other
    return [t for t in trials if t is best or (t.run is best.run and best.run is not level.run)]


def _plain(found: Reasoned, trials: list[Trial], level: Level) -> list[Trial]:
    """Where nothing helps a program that does not learn: what all but always costs quality, if it does no harm."""
    known = [t for t in trials if t.suspicion.prior >= PLAIN and t.run.finite and t.gain > -ALIKE]
    hurried = needed(found.subject, level, 1.0) > NOTABLE
    if found.accepted or hurried or level.room < STUCK or not known:
        return []
    best = max(known, key=lambda t: (t.suspicion.prior, t.gain))
    return [replace(best, gain=max(best.gain, NOTABLE))]


def _worth(trial: Trial) -> float:
    """The gain, of which what is won beyond a good score counts little."""
    reached = [trial.run.train_score, trial.run.score]
    excess = sum(max(0.0, score - GOOD) for score in reached) / 2
    return trial.gain - 0.9 * excess


def _name_untried(found: Reasoned) -> None:
    """When the passes are used up: what all but always costs quality is taken where much is left to gain."""
    level = found.cured
    if level is None or level.room < MUCH:
        return
    explained = {code for t in found.accepted for code in t.suspicion.brings_about}
    explained |= {t.suspicion.code for t in found.accepted}
    for suspicion in suspicions(found.subject, "contract", "structure"):
        if suspicion.prior >= STRONG and suspicion.code not in explained:
            cure = _fitting(found, suspicion) if suspicion.cures else None
            if cure is not None:
                found.accept([Trial(suspicion, cure, level, level.run, NOTABLE)])
