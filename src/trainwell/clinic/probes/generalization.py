"""The gap between training and validation, over a rehearsal of the whole training.

Memorizing takes long: where there are many epochs, the same number of epochs on a small share of the samples shows in a
few steps whether the validation score falls again after its best.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property

import torch

from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.rehearsal import Rehearsal, rehearse
from trainwell.clinic.subject import Subject
from trainwell.training.batches import as_tensor, mapped

PHASE, COST = "training", 60.0
MANY = 30  # epochs
GAP, FALL = 0.1, 0.03
LEARNED = 0.6  # training score below which nothing was learned by heart
ROSE = 0.03  # of the training score meanwhile
LEAST = 0.02  # of the epochs are kept
LEARNED_BY_HEART = 0.08  # fall of the validation score on few samples
WELL_ANSWERED = 0.85  # score from which there is little to lose
RISES = 0.02  # of the score after two fifths of the training: the rest of it brings something
VERY_MANY, OVERSIZED = 50, 5.0  # epochs; weights a sample
CONTRADICTED = 0.1  # validation score over the training score of a net that has learned the rule
EARLY = 1 / 12  # of the epochs, where labels are wrong
COSTS = 0.06  # of the score, where more epochs bring nothing
STEPS, LOOKS = 50, 5


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect training by heart."""
    if subject.program.val is None or subject.program.epochs < 4:
        return
    gap, fall, when, covered = fallen(subject)
    memorized, stop, barren = math.nan, 1 / 6, False
    if gap > GAP and fall > FALL:
        stop = when
    elif subject.program.epochs >= MANY:
        small = Small(subject).run
        if small is not None and small.finite:
            best = max(small.looks, key=lambda look: look[1])
            memorized, stop = best[1] - small.looks[-1][1], best[0] / small.steps / 2
            barren = small.looks[-1][1] < min(WELL_ANSWERED, small.looks[1][1] + RISES)
    epochs, each = subject.program.epochs, _weights(subject) / subject.batches.n
    beyond = contradicted(subject) if subject.task != "regression" else 0.0
    wrong = beyond >= CONTRADICTED and epochs >= MANY and each >= OVERSIZED
    stop = min(stop, EARLY) if wrong else stop
    shorter = max(1, round(epochs * min(max(stop, LEAST), 0.5)))
    cures = (set_field(subject, "epochs", shorter, factor=shorter / epochs),)
    evidence = {"gap": gap, "fall after the best": fall, "fall on few samples": memorized, "epochs": epochs}
    if wrong:
        yield Suspicion(
            "overfitting", "epochs",
            f"Validation samples are answered {100 * beyond:.0f} points better than training samples, whose labels "
            f"must be wrong in part, and {epochs} epochs with {each:.0f} weights for each sample learn them by heart.",
            evidence | {"validation over training": beyond, "weights a sample": each},
            prior=0.8, gain=max(COSTS, beyond / 2), cures=cures,
        )  # fmt: skip
    elif barren and epochs >= VERY_MANY and each >= OVERSIZED:
        yield Suspicion(
            "overfitting", "epochs",
            f"{epochs} epochs with {each:.0f} weights for each sample: on a few samples the validation score is at its "
            "best early, and more epochs bring nothing but learning by heart.",
            evidence | {"weights a sample": each}, prior=0.9, gain=max(COSTS, memorized / 2), cures=cures,
        )  # fmt: skip
    elif memorized > LEARNED_BY_HEART:
        yield Suspicion(
            "overfitting", "epochs",
            f"{epochs} epochs are enough to learn samples by heart: on a few of them the validation score falls by "
            f"{100 * memorized:.0f} points after its best.", evidence, prior=0.6, gain=memorized / 2, cures=cures,
        )  # fmt: skip
    elif gap > GAP and fall > FALL:
        yield Suspicion(
            "overfitting", "epochs",
            f"Over {epochs} epochs the training score rises {100 * gap:.0f} points above the validation score, which "
            f"falls by {100 * fall:.0f} points after its best.", evidence,
            prior=0.5, gain=fall * min(2.0, covered**-0.5), cures=cures,  # the rest of the training goes on falling
        )  # fmt: skip


def contradicted(subject: Subject) -> float:
    """How much better validation samples are answered than training samples in the best rehearsal, both in evaluation.

    A net that has learned the rule answers both alike; it misses training labels that contradict the rule.
    """
    best = max((run for run in subject.runs if run.finite), key=lambda run: run.score, default=None)
    return 0.0 if best is None else best.score - best.train_score


def _weights(subject: Subject) -> int:
    return sum(p.numel() for p in subject.program.model.parameters())


def fallen(subject: Subject) -> tuple[float, float, float, float]:
    """Of all rehearsals: the gap where the training score is best, the fall of the validation score until there from
    its best at a lower training score, and the shares of the whole training at which best and last are; nan where
    there is none.
    """
    looks = [
        (train, val, step * run.factor / max(1, subject.steps))
        for run in subject.runs
        if run.finite
        for step, train, val in run.looks
    ]
    if len(looks) < 2:
        return math.nan, math.nan, math.nan, math.nan
    last = max(looks)
    best = max(looks, key=lambda look: look[1])
    if best[0] > last[0] - ROSE or last[0] < LEARNED:
        return last[0] - last[1], math.nan, math.nan, math.nan
    return last[0] - last[1], best[1] - last[1], best[2], min(1.0, last[2])


class Small:
    """The program on few of its samples, for as many epochs."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject

    @cached_property
    def run(self) -> Rehearsal | None:
        """A rehearsal with several looks at the validation samples, or None where the samples are not in memory."""
        subject, train = self.subject, self.subject.program.train
        if not isinstance(train, tuple | list) or subject.meter.left < 2 * STEPS + LOOKS * subject.scoring / 2:
            return None
        n = subject.batches.n
        keep = max(2 * subject.program.batch_size, n * STEPS // max(STEPS, subject.steps))
        if keep >= n:
            return None
        rows = torch.randperm(n, generator=torch.Generator().manual_seed(subject.seed))[:keep]
        x = mapped(train[0] if not hasattr(train[0], "dtype") else as_tensor(train[0]), lambda t: t[rows])
        rest = tuple(as_tensor(piece)[rows] for piece in train[1:] if piece is not None)
        program = replace(subject.fresh(), train=(x, *rest))
        seen = subject.scored[1]
        assert seen is not None
        return rehearse(program, subject.task, subject.meter, steps=STEPS, share=1.0, parts=(seen, None), looks=LOOKS)
