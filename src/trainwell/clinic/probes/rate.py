"""The learning rate: too high by the first steps as they are, too low by the whole training rehearsed."""

import math
from collections.abc import Iterator

from trainwell.clinic.cures.settings import set_rate
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0  # reads the rehearsals
TOWERING = 100.0  # a loss so many times its start is far beyond the edge
GOOD = 0.9  # score of a rehearsal that no rate needs to better


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a rate that is too high or too low."""
    whole = subject.whole
    if min(whole.train_score, whole.score) >= GOOD:
        return
    rate = float(subject.optimizer.param_groups[0]["lr"])
    opening, all_of_it = curve_of(subject.opening), curve_of(whole)
    evidence = {"rate": rate, "first loss": opening.start, "loss after the opening": opening.end}
    if not opening.finite or opening.descent < 0 or opening.swing > 0.5:
        seen = "not finite" if not opening.finite else "higher than at the start" if opening.descent < 0 else "leaping"
        yield Suspicion(
            "lr-too-high", "optimizer.lr", f"At the rate {rate:g} the loss is {seen} after the first steps.", evidence,
            prior=0.8 if not opening.finite else 0.6,
            cures=tuple(set_rate(subject, rate / by) for by in _divisors(subject)),
        )  # fmt: skip
        return
    if whole.finite and (all_of_it.descent < 0.5 or all_of_it.falling > 0.15):
        by = 100.0 if all_of_it.descent < 0.05 else 10.0
        yield Suspicion(
            "lr-too-low", "optimizer.lr", f"At the rate {rate:g} training ends before it gets anywhere.",
            {**evidence, "descent of the whole training": all_of_it.descent},
            prior=0.6 if all_of_it.descent < 0.2 else 0.35,
            cures=tuple(set_rate(subject, rate * k) for k in (by, by / 3)),
        )  # fmt: skip
    elif not whole.finite or whole.train_score < subject.opening.train_score:
        yield Suspicion(
            "lr-too-high", "optimizer.lr", f"The rate {rate:g} is at the edge of what the curvature bears.", evidence,
            prior=0.3, cures=(set_rate(subject, rate / 10.0),),
        )  # fmt: skip


def _divisors(subject: Subject) -> tuple[float, ...]:
    """What to divide the rate by, the likeliest first: the more, the faster the loss took off."""
    losses = subject.opening.losses
    towering = not losses or not math.isfinite(max(losses)) or max(losses) > TOWERING * abs(losses[0])
    return (100.0, 1000.0, 10.0) if towering else (10.0, 100.0)
