"""Validation inputs brought to the scale of the training inputs. The kind of the data stays what it was."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainwell.clinic.cure import Change, Cure
from trainwell.training.batches import as_tensor
from trainwell.training.program import Program


class MappedInputs(Dataset):
    """A dataset whose inputs go through a function."""

    def __init__(self, data: Any, change: Callable[[Tensor], Tensor]) -> None:
        self.data, self.change = data, change

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> Any:
        x, *rest = self.data[index]
        return (self.change(as_tensor(x)), *rest)


class Collated:
    """A loader's collation, and the inputs of the batch through a function behind it."""

    def __init__(self, collate: Callable[[Any], Any], change: Callable[[Tensor], Tensor]) -> None:
        self.collate, self.change = collate, change

    def __call__(self, items: Any) -> Any:
        x, *rest = self.collate(items)
        return (self.change(x), *rest)


class Affine:
    """x → scale · (x − mean) + target, in float64, given back as ``dtype``; all broadcast to one sample."""

    def __init__(self, mean: Tensor, scale: Tensor, target: Tensor, dtype: torch.dtype) -> None:
        self.mean, self.scale, self.target, self.dtype = mean.cpu(), scale.cpu(), target.cpu(), dtype

    def __call__(self, x: Tensor) -> Tensor:
        mean, scale, target = (t.to(x.device) for t in (self.mean, self.scale, self.target))
        return ((x.double() - mean) * scale + target).to(self.dtype)


def fits(data: Any) -> bool:
    """Can the inputs of these data be changed: arrays, a dataset with places, a loader of torch's own kind?"""
    if isinstance(data, DataLoader):
        return type(data).__iter__ is DataLoader.__iter__
    if isinstance(data, Dataset):
        return not isinstance(data, IterableDataset)
    return isinstance(data, tuple | list) and isinstance(data[0], Tensor | np.ndarray)


def rescale_validation(change: Affine, before: str, after: str) -> Cure:
    """Let the validation inputs run through ``change``; what they were and become in words."""

    def apply(program: Program) -> Program:
        return replace(program, val=inputs_changed(program.val, change))

    name = "bring the validation inputs to the scale of the training inputs"
    return Cure(name, (Change("val.X", before, after),), apply)


def inputs_changed(data: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Data of the same kind with other inputs; the data given stay as they are."""
    if data is None:
        return None
    if isinstance(data, DataLoader):
        made = copy.copy(data)
        made.__dict__.update(collate_fn=Collated(data.collate_fn, change), _iterator=None)
        return made
    if isinstance(data, Dataset):
        return MappedInputs(data, change)
    x, *rest = data
    changed = change(as_tensor(x))
    return type(data)((changed.numpy() if isinstance(x, np.ndarray) else changed, *rest))
