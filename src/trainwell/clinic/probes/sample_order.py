"""The order of the samples, where nothing shuffles them: do batches differ in their targets by more than chance?

Of the targets' variance, batches of B samples in random order hold the share (k − 1) / (n − 1) between them, k being
their number (one-way analysis of variance, targets of classes as one-hot rows); sorted labels hold all of it.
"""

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor
from torch.utils.data import DataLoader, SequentialSampler

from trainwell.clinic.answers import answers_of
from trainwell.clinic.cures.rows import shuffle
from trainwell.clinic.features import is_tokens
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import ROWS, Subject

PHASE, COST = "contract", 0.0
SEEN, SORTED = 0.2, 0.6  # shares beyond chance: worth a trial; a defect by itself
NEIGHBOURS = 0.3  # (differences of neighbours in X over those of any two)²: below it samples follow each other in time


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect an order that tells of the target."""
    with suppress(Exception):  # data that have no order to look at
        if not _in_order(subject):
            return
        y, codes = subject.train.y, answers_of(subject).codes()
        size = max(1, subject.program.batch_size)
        if isinstance(subject.program.train, DataLoader):
            size = subject.program.train.batch_size or 1
        numbers = subject.batches.n
        if numbers > ROWS:  # the samples looked at are spread over all
            size = max(1, round(size * len(y) / numbers))
        if codes is not None and int(codes.max()) < 1000:
            t = torch.nn.functional.one_hot(codes).double()
        else:
            t = y.double().reshape(len(y), -1)
        share, chance = between(t, size)
        beyond = (share - chance) / max(1e-9, 1 - chance)
        if beyond < SEEN or size < 2 or len(y) < 3 * size:
            return
        follows = codes is None and _follows(subject)
        certain = codes is not None and beyond >= SORTED
        prior = 0.9 if beyond > 0.5 and codes is not None else 0.2 if follows else 0.4
        yield Suspicion(
            "unshuffled-data", "shuffle",
            f"Samples come in an order that tells of the target: {share:.0%} of its variance is between batches, "
            f"where chance gives {chance:.0%}, and nothing shuffles them.",
            {"share between batches": share, "by chance": chance}, prior=prior, certain=certain,
            loss=0.35 if certain else 0.0, cures=(shuffle(),),
        )  # fmt: skip


def between(t: Tensor, size: int) -> tuple[float, float]:
    """Share of the variance of targets (N, T) that is between batches of this size, and by chance."""
    n, k = len(t), -(-len(t) // size)
    centred = t - t.mean(0)
    total = float(centred.square().sum())
    parts = centred.split(size)
    held = sum(float(part.mean(0).square().sum()) * len(part) for part in parts)
    return (held / total if total > 0 else 0.0), (k - 1) / max(1, n - 1)


def _in_order(subject: Subject) -> bool:
    train = subject.program.train
    if isinstance(train, DataLoader):
        return isinstance(train.sampler, SequentialSampler)
    return not subject.program.shuffle


def _follows(subject: Subject) -> bool:
    """Are neighbours alike in X too, as windows of a series are?"""
    x = subject.train.x
    if not isinstance(x, Tensor) or is_tokens(subject, x) or not x.is_floating_point():
        return False
    flat = x.double().reshape(len(x), -1)
    near = float((flat[1:] - flat[:-1]).square().mean())
    return near < NEIGHBOURS * 2 * float((flat - flat.mean(0)).square().mean())
