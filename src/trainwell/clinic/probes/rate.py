"""The learning rate: too high by the first steps as they are, too low by the whole training rehearsed."""

import math
from collections.abc import Iterator

from torch.optim import SGD

from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.settings import constant_rate, set_field, set_rate
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import clipped_at, mean_rate, peak_rate, rate_lacks, steps_lack, total_motion, usual_rate

PHASE, COST = "training", 0.0  # reads the rehearsals
TOWERING = 100.0  # a loss so many times its start is far beyond the edge
RISEN, LEAPING = 0.02, 0.5  # of the loss at the start
FAR, SOME = 30.0, 0.3  # above the usual rate; log₁₀ below it
STILL, MOVED = 0.05, 4.0  # motion of all steps over the weights' size: of a net that cannot learn, and of one that does
ON_ITS_WAY, LEARNS_LITTLE = 0.2, 0.75  # share of the descent in the last third; training score
FALLS = 0.1  # of the loss: the rate does its work
TIGHT = 0.1  # norm to which no gradient is usually clipped
LEFT, GONE = 0.2, 0.05  # of the peak rate, mean over the schedule: less than is usual; next to nothing
NOTHING, MOST = 0.01, 0.5  # of the peak rate; of the steps: a schedule that leaves most of them no rate
FADED = 0.85  # prior of a rate that its schedule takes away


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a rate that is too high or too low."""
    whole = subject.whole
    if whole.good:
        return
    rate = float(subject.optimizer.param_groups[0]["lr"])
    peak, usual = peak_rate(subject), usual_rate(subject.optimizer)
    opening, all_of_it = curve_of(subject.opening), curve_of(whole)
    evidence = {"rate": rate, "first loss": opening.start, "loss after the opening": opening.end}
    rises = opening.descent < -max(RISEN, opening.swing)  # by more than batches differ
    restless = (rises or opening.swing > LEAPING) and rate_lacks(subject) < 2 * SOME and total_motion(subject) > STILL
    if not opening.finite or restless:
        seen = "not finite" if not opening.finite else "higher than at the start" if opening.descent < 0 else "leaping"
        yield Suspicion(
            "lr-too-high", "optimizer.lr", f"At the rate {rate:g} the loss is {seen} after the first steps.", evidence,
            prior=0.8 if not opening.finite else 0.45,
            cures=tuple(set_rate(subject, rate / by) for by in _divisors(subject)),
        )  # fmt: skip
        return
    if peak > FAR * usual:
        yield Suspicion(
            "lr-too-high", "optimizer.lr", f"The rate reaches {peak:g}, {peak / usual:.3g} times what is usual.",
            evidence | {"peak rate": peak, "usual rate": usual}, prior=0.5 if opening.descent > FALLS else 0.7,
            cures=tuple(set_rate(subject, rate / by) for by in (10.0 ** round(math.log10(peak / usual) - 0.5), 10.0)),
        )  # fmt: skip
        return
    gone = float((subject.rates < NOTHING * peak).mean())
    if gone > MOST:
        yield Suspicion(
            "lr-too-low", "scheduler",
            f"For {gone:.0%} of the steps the schedule leaves less than a hundredth of the rate {peak:g}.",
            evidence | {"share of the steps without a rate": gone}, prior=FADED, cures=(constant_rate(subject),),
            explains=frozenset(["too-few-epochs"]),
        )  # fmt: skip
        return
    motion = total_motion(subject)
    if motion < STILL and all_of_it.descent < FALLS:
        yield _still(subject, motion, evidence | {"motion over size": motion})
        return
    if whole.finite and (all_of_it.descent < 0.5 or all_of_it.falling > 0.15):
        lacking, short = rate_lacks(subject), steps_lack(subject)
        if lacking < SOME:
            if _slow(subject, all_of_it.falling) and short <= 0:
                yield _may_be_raised(subject, rate, evidence | {"descent of the whole training": all_of_it.descent})
            return
        by = min(1e5, max(10.0, 10.0 ** round(lacking)))
        faded = subject.program.scheduler is not None and mean_rate(subject) < GONE * peak_rate(subject)
        yield Suspicion(
            "lr-too-low", "optimizer.lr", f"At the rate {rate:g} training ends before it gets anywhere.",
            {**evidence, "descent of the whole training": all_of_it.descent, "usual over this rate": 10**lacking},
            prior=FADED if faded else min(0.85, max(0.2, 0.25 + 0.3 * lacking)),
            cures=_faster(subject, rate, by),
            explains=frozenset(["too-few-epochs"] if lacking > short else []),
        )  # fmt: skip
    elif not whole.finite or whole.train_score < subject.opening.train_score:
        yield Suspicion(
            "lr-too-high", "optimizer.lr", f"The rate {rate:g} is at the edge of what the curvature bears.", evidence,
            prior=0.2, cures=(set_rate(subject, rate / 10.0),),
        )  # fmt: skip


def _slow(subject: Subject, falling: float) -> bool:
    """Whether plain gradient steps, whose usual rate knows nothing of the gradient's size, are still on their way."""
    whole = subject.whole
    return type(subject.optimizer) is SGD and falling > ON_ITS_WAY and whole.train_score < LEARNS_LITTLE


def _may_be_raised(subject: Subject, rate: float, evidence: dict[str, float]) -> Suspicion:
    return Suspicion(
        "lr-too-low", "optimizer.lr",
        f"All {subject.steps} steps at the rate {rate:g} leave the loss on its way: its gradients are small.",
        {**evidence}, prior=0.3, cures=(set_rate(subject, 10 * rate),), explains=frozenset(["too-few-epochs"]),
    )  # fmt: skip


def _still(subject: Subject, motion: float, evidence: dict[str, float]) -> Suspicion:
    """Steps too short to move the weights, by the rate or by what the gradient is clipped to."""
    rate, clip = evidence["rate"], clipped_at(subject)
    binds = clip < TIGHT and clip < max(norm for norm in subject.opening.norms if math.isfinite(norm))
    cures = tuple(set_rate(subject, rate * by) for by in _until_moved(motion))
    why = f"the rate {rate:g} is too low for gradients as small as these."
    if binds:
        cures = (set_field(subject, "clip_grad", 1.0), *cures)
        why = f"gradients are clipped to {clip:g}, for which the rate {rate:g} is too low."
    return Suspicion(
        "lr-too-low", "optimizer.lr",
        f"All {subject.steps} steps together change the weights by {motion:.2g} of their size: {why}",
        {**evidence}, prior=0.7, cures=cures, explains=frozenset(["too-few-epochs"]),
    )  # fmt: skip


def _until_moved(motion: float) -> tuple[float, ...]:
    """Powers of ten that a rate is multiplied by so that the weights move."""
    power = min(5, max(1, round(math.log10(MOVED / max(motion, 1e-30)))))
    return (10.0**power, 10.0 ** (power - 1)) if power > 1 else (10.0,)


def _faster(subject: Subject, rate: float, by: float) -> tuple[Cure, ...]:
    """No schedule, where it takes most of the rate away, or a higher rate."""
    higher = tuple(set_rate(subject, rate * k) for k in (by, by / 3))
    left = mean_rate(subject) / max(peak_rate(subject), 1e-30)
    return (constant_rate(subject), *higher) if subject.program.scheduler is not None and left < LEFT else higher


def _divisors(subject: Subject) -> tuple[float, ...]:
    """What to divide the rate by, the likeliest first: the more, the faster the loss took off."""
    losses = subject.opening.losses
    towering = not losses or not math.isfinite(max(losses)) or max(losses) > TOWERING * abs(losses[0])
    return (100.0, 1000.0, 10.0) if towering else (10.0, 100.0)
