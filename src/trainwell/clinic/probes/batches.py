"""The batch: steps that training has, and samples that batch normalization averages over."""

import math
from collections.abc import Iterator

from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import CAUTIOUS
from trainwell.clinic.subject import WHOLE, Subject

PHASE, COST = "training", 0.0
FEW_STEPS = 100  # in the whole training
USUAL, MORE = 32, 4  # samples a batch, and times as many steps that make it worth a change
MUCH = 0.2  # of the score, by which a slower rehearsal does better
SEVERAL = 5  # epochs: with fewer it is them that are lacking
SIGNS_COST = 0.1  # of the score, where norms leave a sign of every number
FEW_SAMPLES, FEWEST = 8, 4  # of a channel: the error of a variance is √(2/n), 50 % and 71 %


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect batches that leave few steps, or whose statistics are noise."""
    if not isinstance(subject.program.train, tuple | list):
        return  # a loader brings its own batches
    noisy = list(_statistics(subject))
    yield from noisy
    yield from _size(subject, noisy=bool(noisy))


def _statistics(subject: Subject) -> Iterator[Suspicion]:
    size = subject.program.batch_size
    counts = {
        layer.path: size * math.prod(layer.output_shape[1:])
        for layer in subject.chain.layers
        if layer.kind == "norm" and isinstance(subject.module(layer.path), _BatchNorm)
    }
    if not counts or min(counts.values()) > FEW_SAMPLES:
        return
    where = min(counts, key=lambda path: counts[path])
    signs = counts[where] == 2 and not subject.whole.good  # (a − b)/|a − b|: which of two is larger, and nothing else
    yield Suspicion(
        "bn-small-batch", where,
        f"Batch normalization in {where} averages over {counts[where]} numbers: its statistics are mostly noise.",
        {"numbers a channel": counts[where], "batch size": size},
        prior=0.9 if signs else 0.75 if counts[where] <= FEWEST else 0.05, gain=SIGNS_COST if signs else None,
        cures=(set_field(subject, "batch_size", min(USUAL, subject.batches.n), steps=size / USUAL),),
    )  # fmt: skip


def _size(subject: Subject, *, noisy: bool) -> Iterator[Suspicion]:
    """Batches too large for the data, or so small that a step is noise; small ones under batch norm are its matter."""
    size, n, steps = subject.program.batch_size, subject.batches.n, subject.steps
    smaller = min(USUAL, max(8, n // 20))
    if size > USUAL and steps < FEW_STEPS and size / smaller > MORE:
        yield Suspicion(
            "batch-size-extreme", "batch_size",
            f"With batches of {size} the whole training has {steps} steps.",
            {"batch size": size, "steps": steps, "samples": n},
            prior=0.8 if subject.program.epochs >= SEVERAL else 0.4,
            cures=(set_field(subject, "batch_size", smaller, steps=size / smaller),),
        )  # fmt: skip
    elif size <= 2 < n and not noisy and not _only_hurried(subject):
        yield Suspicion(
            "batch-size-extreme", "batch_size", f"A batch of {size} makes every step mostly noise.",
            {"batch size": size, "steps": steps}, prior=0.3,
            cures=(set_field(subject, "batch_size", USUAL, steps=size / USUAL),),
        )  # fmt: skip


def _only_hurried(subject: Subject) -> bool:
    """Whether a slower rehearsal does much better: the noise is that of a rate so many times as high, and ours."""
    whole = subject.whole
    if whole.good or whole.factor <= CAUTIOUS or subject.meter.left < WHOLE * subject.effort + subject.scoring:
        return False
    subject.slower(1 / math.sqrt(whole.factor))
    return subject.hurt_by_hurry >= MUCH
