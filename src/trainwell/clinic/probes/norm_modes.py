"""Batch normalization in its two modes: whether the running statistics have had the time to arrive."""

from collections.abc import Iterator

from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.clinic.cures.modules import set_norm_momentum
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "structure", 0.0
LEFT, ALL = 0.2, 0.9  # share of the initial running statistics that is still there at the end
LATEST, FEW = 0.9, 8  # momentum that keeps the last batch alone, and samples of that batch that say nothing
COSTS = 0.1  # of the score, where evaluation normalizes by statistics that are no data's


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a momentum of which (1 − m)^steps of the start is left, or one that remembers one batch alone."""
    norms = {
        path: module.momentum
        for path, module in subject.program.model.named_modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module.momentum is not None
    }
    slow = {path: m for path, m in norms.items() if (1 - m) ** subject.steps > LEFT}
    hasty = {path: m for path, m in norms.items() if m > 0.5}
    for found, word in ((slow, "hardly leave their start"), (hasty, "are those of the last batch")):
        if found:
            where, momentum = next(iter(found.items()))
            left = (1 - momentum) ** subject.steps
            last = subject.batches.n % max(1, subject.program.batch_size) if momentum >= LATEST else 0
            certain = (left > ALL and _untouched(subject, where)) or 1 < last < FEW
            yield Suspicion(
                "bn-train-eval-mismatch", where,
                f"With momentum {momentum:g} the running statistics of {where} {word}: evaluation is not training.",
                {"momentum": momentum, "share of the start left": left}, prior=0.7,
                certain=certain, loss=COSTS if certain else 0.0, cures=(set_norm_momentum(found),),
            )  # fmt: skip


def _untouched(subject: Subject, path: str) -> bool:
    """Whether the running statistics are 0 and 1: nobody has put there those of a training before."""
    norm = subject.program.model.get_submodule(path)
    mean, variance = norm.running_mean, norm.running_var
    return isinstance(mean, Tensor) and isinstance(variance, Tensor) and bool((mean == 0).all() & (variance == 1).all())
