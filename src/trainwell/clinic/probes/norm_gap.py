"""Batch normalization whose running statistics do not fit: the net answers well by a batch's own statistics alone.

Asked after the first steps as they are, at the program's own pace, where the running statistics have had the time to
follow. Dropout in front of a norm (its variance is another in evaluation), two kinds of batches through one norm, or
training samples that are changed in a way that validation samples are not, all show so.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.clinic.cures.modules import set_dropout
from trainwell.clinic.cures.normalization import without_running_statistics
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.meter import FORWARD
from trainwell.clinic.quality import first_tensor, quality
from trainwell.clinic.subject import OPENING, Subject
from trainwell.training.batches import mapped

PHASE, COST = "training", 3.0  # a forward pass of the scored samples in batches
GAP, ERRORS = 0.12, 3.0  # of the score, and its standard errors
FOLLOWED = 0.9  # share of the start that the running statistics have forgotten after the opening
FEWEST = 8  # samples a batch whose own statistics say something


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Compare the score with running statistics to that with each batch's own."""
    norms = {
        path: module.momentum
        for path, module in subject.program.model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module.momentum is not None
    }
    if not norms or subject.program.batch_size < FEWEST or subject.whole.good:
        return
    if min(1.0 - (1.0 - momentum) ** OPENING for momentum in norms.values()) < FOLLOWED:
        return  # statistics that never arrive are another probe's matter
    run = subject.opening
    if not run.finite or run.model is None:
        return
    with suppress(Exception):  # inputs that cannot be cut into batches
        own = _by_batches(subject, run.model)
        part = subject.scored[1] or subject.scored[0]
        error = math.sqrt(max(own * (1 - own), 0.05) / len(part.y))
        if own - run.score > max(GAP, ERRORS * error):
            yield _mismatch(subject, list(norms), run.score, own)


def _mismatch(subject: Subject, paths: list[str], score: float, own: float) -> Suspicion:
    dropped = {
        path: module.p
        for path, module in subject.program.model.named_modules()
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    }
    cures = [without_running_statistics(subject, paths)]
    if dropped:
        cures.insert(0, set_dropout(dropped, 0.0))
    return Suspicion(
        "bn-train-eval-mismatch", paths[0],
        f"With the running statistics of its norms the net scores {score:.2f}, with those of each batch {own:.2f}: in "
        "evaluation the norms are not what they are in training.", {"running": score, "of each batch": own},
        prior=0.7, cures=tuple(cures),
    )  # fmt: skip


def _by_batches(subject: Subject, model: nn.Module) -> float:
    """The score where norms take the statistics of each batch, and nothing else is as in training."""
    part, size = subject.scored[1] or subject.scored[0], subject.program.batch_size
    model = duplicate(model).eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    whole = len(part.y) // size * size or len(part.y)
    with torch.no_grad():
        chunks = [first_tensor(model(mapped(part.x, lambda t, a=a: t[a : a + size]))) for a in range(0, whole, size)]
    subject.meter.spend(FORWARD * part.batches)
    return quality(torch.cat(chunks), part.y[:whole], subject.task)
