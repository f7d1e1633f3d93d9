"""Which cures of what is suspected are tried, in which order, for as long as passes are left."""

from dataclasses import replace

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.level import ALIKE, WELL, Level, needed
from trainwell.clinic.reasoned import Reasoned
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import (
    GENERALIZING,
    LIKELY,
    STRONG,
    STUCK,
    Trial,
    affords_repetition,
    repeated,
    tried,
)

NEARLY_SURE = 0.9  # prior of each of two that are tried at once
PLAINLY = 0.85  # prior of each of two that are tried together though one may bring about the other
UNLIKELY = 0.1  # prior below which a suspicion is not tried
SOME, LUCK = 0.2, 0.3  # room from which a trial of both is worth it; more gain than usual that a guess must bring
LENGTH = frozenset(["too-few-epochs", "overfitting"])  # of the training
OF_LENGTH = LENGTH | {"program-crashes"}  # a schedule made for another one raises
CLOSE, REPEATED = 0.03, 2  # gain beside what is asked from which a trial is repeated, so often at most


def try_cures(found: Reasoned, seen: list[Suspicion], level: Level) -> list[Trial]:
    """Try the first cures of the likeliest suspicions, for as long as passes are left."""
    trials, own, paired = list[Trial](), of_our_making(found), False
    if both := _two_at_once(found, [s for s in seen if s.code not in own], level):
        return both
    for suspicion in seen:
        if suspicion.prior < UNLIKELY or not suspicion.cures or suspicion.code in own:
            continue
        enough = enough_for(found.subject, level, suspicion)
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
            if trial is None:
                continue
            trials.append(trial)
            firsts = _first_two(trials, level, enough)
            if firsts and not paired:
                paired = True
                trials += _pair(found, firsts, level, enough)
            if max(t.gain for t in trials if t.suspicion.code == suspicion.code) >= enough:
                break
    return trials


def _first_two(trials: list[Trial], level: Level, enough: float) -> list[Trial]:
    """The first trials of the only two likely suspicions so far, where neither gains enough and much could be."""
    likely = [t for t in trials if t.suspicion.prior >= LIKELY and t.suspicion.gain is None]
    firsts = list({t.suspicion.code: t for t in reversed(likely)}.values())[::-1]
    if len(firsts) != 2:
        return []
    plain = min(t.suspicion.prior for t in firsts) >= PLAINLY  # each of them seen, whatever the other brings about
    if not plain and _same_matter(*(t.suspicion for t in firsts)):
        return []
    return firsts if level.room >= SOME and max(t.gain for t in trials) < enough else []


def _two_at_once(found: Reasoned, seen: list[Suspicion], level: Level) -> list[Trial]:
    """Two that are nearly always harmful, tried together at once: neither may gain anything beside the other."""
    sure = [s for s in seen if s.prior >= NEARLY_SURE and s.cures and s.gain is None and not s.guessed]
    firsts = list({s.code: s for s in reversed(sure)}.values())[::-1][:2]
    if len(firsts) < 2 or level.room < STUCK or _same_matter(*firsts):
        return []
    alone = [Trial(s, s.cures[0], level, level.run, 0.0) for s in firsts]
    return _pair(found, alone, level, enough_for(found.subject, level, firsts[0]))


def of_our_making(found: Reasoned) -> frozenset[str]:
    """What a cure that was taken brings about: one that changes how long the training is makes it too long or short."""
    changed = any(trial.cure.steps != 1.0 or trial.suspicion.code in LENGTH for trial in found.accepted)
    return OF_LENGTH if changed else frozenset()


def confirmed(found: Reasoned, trials: list[Trial]) -> list[Trial]:
    """The trials; where the best comes out close to what is asked, it is repeated while passes are left."""

    def beyond(trial: Trial) -> float:
        return trial.gain - enough_for(found.subject, trial.before, trial.suspicion)

    for turn in range(1, REPEATED + 1):
        own = [t for t in trials if t.suspicion.gain is None and t.run is not t.before.run]
        best = max(own, key=beyond, default=None)
        if best is None or abs(beyond(best)) >= CLOSE or not affords_repetition(found.subject, best):
            break
        again = repeated(found.subject, best, turn)
        trials = [again if t is best else t for t in trials]
        found.trials = [again if t is best else t for t in found.trials]
    return trials


def enough_for(subject: Subject, level: Level, suspicion: Suspicion) -> float:
    """Gain from which a cure is taken; of a guess much more, as a net drawn anew may just have better luck. What is a
    defect by itself is cured if that does no harm.
    """
    if suspicion.certain:
        return -ALIKE
    apart = suspicion.gain is not None
    return needed(subject, level, suspicion.prior, apart=apart) + (LUCK if suspicion.guessed else 0.0)


def _same_matter(a: Suspicion, b: Suspicion) -> bool:
    """Whether one of two is what the other brings about."""
    return b.code in a.brings_about or a.code in b.brings_about


def _settled(trials: list[Trial], suspicion: Suspicion, enough: float) -> bool:
    """Whether a cure does so well, or what it cures is so likely, that nothing need be tried beside it but what might
    be the cause of it: the next round looks at what is left.
    """
    good = [
        t
        for t in trials
        if t.gain >= enough
        and (min(t.run.train_score, t.run.score) >= WELL or t.suspicion.prior >= max(NEARLY_SURE, suspicion.prior))
    ]
    mine = suspicion.brings_about
    return bool(good) and not any(t.suspicion.code in mine for t in good)


def _explained(found: Reasoned, trials: list[Trial], suspicion: Suspicion) -> bool:
    """Whether a far likelier cause that helps brings it about: if it stays, the next round tries it."""
    if suspicion.prior >= LIKELY:
        return False
    strong = [t for t in trials if t.suspicion.prior >= STRONG and suspicion.code in t.suspicion.brings_about]
    return any(t.gain >= enough_for(found.subject, t.before, t.suspicion) for t in strong)


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
    one, other = (t.suspicion.code for t in firsts)
    return [
        replace(both, suspicion=t.suspicion, cure=t.cure, beside=other if t.suspicion.code == one else one)
        for t in firsts
    ]
