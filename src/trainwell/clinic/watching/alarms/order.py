"""The loader brings the samples in an order that tells of their class.

Of the variance of the labels (as one-hot rows) batches hold next to nothing between them when samples are drawn at
random, and all when they are sorted by class; the thresholds are those of the exam's probe ``sample_order``. Labels are
read from the loader's data set where it has them as a whole, and else collected from the calls of the loss.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import one_hot
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    RandomSampler,
    SequentialSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from trainwell.clinic.finding import Finding
from trainwell.clinic.probes.sample_order import SORTED, between
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.seen import Seen

MOST_CLASSES, MOST_SAMPLES = 1000, 20_000
BATCHES = 8  # whose labels are collected before they are judged


class Alarm:
    """See the file's text."""

    NEEDS = ("loader",)
    BLIND = "whether samples are shuffled"

    def __init__(self) -> None:
        self._labels: list[Tensor] = []
        self._done = False

    def start(self, seen: Seen) -> Iterator[Finding]:
        """Judge the data set's own labels."""
        loader = seen.loader
        if loader is None or _shuffles(loader):
            self._done = True
            return
        labels = _labels(getattr(loader, "dataset", None))
        if labels is not None and isinstance(loader, DataLoader) and loader.batch_size:
            self._done = True
            size = loader.batch_size
            if len(labels) > MOST_SAMPLES:  # batches spread over all
                size = max(1, round(size * MOST_SAMPLES / len(labels)))
                labels = labels[torch.linspace(0, len(labels) - 1, MOST_SAMPLES).long()]
            yield from _judged(labels, size)

    def step(self, seen: Seen) -> Iterator[Finding]:
        """Collect the labels of the loss."""
        if self._done:
            return
        if seen.look is None and len(self._labels) == 0 and seen.step > 4 * BATCHES:
            self._done = True
        for one in seen.window.passes:
            targets = [t for t in one.loss_args or () if isinstance(t, Tensor) and not t.is_floating_point()]
            if len(targets) == 1 and targets[0].dim() == 1 and len(targets[0]) > 1:
                self._labels.append(targets[0].cpu())
        if len(self._labels) >= BATCHES:
            self._done = True
            size = min(len(each) for each in self._labels)
            yield from _judged(torch.cat([each[:size] for each in self._labels]), size)
            self._labels = []


def _judged(labels: Tensor, size: int) -> Iterator[Finding]:
    classes, codes = labels.unique(return_inverse=True)
    if not 1 < len(classes) <= MOST_CLASSES or len(codes) < 3 * size or size < 2:
        return
    share, chance = between(one_hot(codes).double(), size)
    if (share - chance) / max(1e-9, 1 - chance) < SORTED:
        return
    message = (
        f"The samples come sorted by class: {share:.0%} of the labels' variance is between batches, where chance gives "
        f"{chance:.0%}, so that each batch teaches what the next unteaches. Give the loader shuffle=True."
    )
    evidence = {"share between batches": share, "by chance": chance}
    yield found("unshuffled-data", "the loader's order", message, evidence, 0.35)


def _shuffles(loader: Any) -> bool:
    """Does it draw a new order itself?"""
    if not isinstance(loader, DataLoader):
        return False
    sampler: Any = loader.sampler
    inner = getattr(loader.batch_sampler, "sampler", sampler)
    if isinstance(sampler, RandomSampler | WeightedRandomSampler) or getattr(sampler, "shuffle", False):
        return True
    known = isinstance(inner, SequentialSampler) and type(loader.batch_sampler) in (BatchSampler, type(None))
    return not known and loader.batch_sampler is not None and not isinstance(inner, SequentialSampler)


def _labels(data: Any) -> Tensor | None:
    """The labels of a data set that has them as a whole, as whole numbers; else None."""
    if isinstance(data, TensorDataset):
        given: Any = data.tensors[-1]
    else:
        given = getattr(data, "targets", getattr(data, "labels", None))
    if given is None:
        return None
    try:
        labels = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        return None
    if labels.is_floating_point() or labels.dim() != 1 or not len(labels):
        return None
    return labels.cpu()
