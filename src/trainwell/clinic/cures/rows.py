"""Cures of the samples: their order, which are kept, and their targets. The kind of the data stays what it was."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler, Subset

from trainwell.clinic.cure import Change, Cure
from trainwell.training.batches import as_tensor, mapped
from trainwell.training.program import Program


class MappedTargets(Dataset):
    """A dataset whose targets go through a function of a batch of targets."""

    def __init__(self, data: Any, change: Callable[[Tensor], Tensor]) -> None:
        self.data, self.change = data, change

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        x, y, *rest = self.data[index]
        return (x, self.change(torch.as_tensor(y)[None])[0], *rest)


def shuffle() -> Cure:
    """A new order every epoch."""

    def apply(program: Program) -> Program:
        train = program.train
        if isinstance(train, DataLoader):
            train = reloaded(train, train.dataset, shuffle=True)
        return replace(program, train=train, shuffle=True)

    return Cure("shuffle the samples every epoch", (Change("shuffle", False, True),), apply)


def keep(rows: Tensor, total: int, name: str) -> Cure:
    """Only these rows of the training part, in so many more epochs that the training has as many steps as before."""
    times = total / max(1, len(rows))

    def apply(program: Program) -> Program:
        return replace(program, train=_chosen(program.train, rows), epochs=max(1, round(program.epochs * times)))

    change = Change("train", f"{total} samples", f"{len(rows)} samples")
    epochs = Change("epochs", "epochs", f"round(epochs * {times:.3g})")
    return Cure(name, (change, epochs) if times > 1.1 else (change,), apply)


def with_targets(program: Program, change: Callable[[Tensor], Tensor]) -> Program:
    """The program with the targets of both parts changed."""
    return replace(program, train=targets_changed(program.train, change), val=targets_changed(program.val, change))


def targets_changed(data: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Data of the same kind with other targets."""
    if data is None:
        return None
    if isinstance(data, DataLoader):
        return reloaded(data, MappedTargets(data.dataset, change), shuffle=isinstance(data.sampler, RandomSampler))
    if isinstance(data, Dataset):
        return MappedTargets(data, change)
    x, y, *rest = data
    changed = change(as_tensor(y))
    return type(data)((x, changed.numpy() if isinstance(y, np.ndarray) else changed, *rest))


def reloaded(loader: DataLoader, dataset: Any, *, shuffle: bool) -> DataLoader:
    """A loader with the same settings over another dataset."""
    return DataLoader(
        dataset, batch_size=loader.batch_size, shuffle=shuffle, num_workers=loader.num_workers,
        collate_fn=loader.collate_fn, drop_last=loader.drop_last, pin_memory=loader.pin_memory,
        generator=loader.generator,
    )  # fmt: skip


def _chosen(data: Any, rows: Tensor) -> Any:
    if isinstance(data, DataLoader):
        shuffled = isinstance(data.sampler, RandomSampler)
        return reloaded(data, Subset(data.dataset, rows.tolist()), shuffle=shuffled)
    if isinstance(data, Dataset):
        return Subset(data, rows.tolist())
    x, *rest = data
    return type(data)((_taken(x, rows), *(_taken(piece, rows) for piece in rest)))


def _taken(piece: Any, rows: Tensor) -> Any:
    if isinstance(piece, np.ndarray):
        return piece[rows.numpy()]
    if isinstance(piece, dict):
        return {key: _taken(value, rows) for key, value in piece.items()}
    if isinstance(piece, tuple):
        return tuple(_taken(value, rows) for value in piece)
    if isinstance(piece, list):
        return [piece[i] for i in rows.tolist()]
    return mapped(piece, lambda t: t[rows.to(t.device)])
