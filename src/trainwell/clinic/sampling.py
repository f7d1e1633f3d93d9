"""Samples of a program's data as tensors, of any kind of data, on the model's device, no more than memory takes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from trainwell.clinic.excerpt import BYTES, readable
from trainwell.errors import InputError
from trainwell.training.batches import as_tensor, as_tensors, mapped, moved, source
from trainwell.training.program import Program, leaves

SCORED = 256  # samples of each part
FEWEST = 64  # samples, however large
TARGETS = ("y", "label", "labels", "target", "targets")  # names of a batch that is a dict


@dataclass(frozen=True)
class Sample:
    """Samples of one part of the data.

    Attributes:
        x: inputs, a tensor, or a tuple or dict of them.
        y: targets.
        batches: of the program's size that they make up.
    """

    x: Any
    y: Tensor
    batches: float


def gathered(data: Any, batch_size: int, most: int = SCORED, device: torch.device | None = None) -> Sample:
    """Samples spread over all that can be read.

    Args:
        data: of a program, or an excerpt.
        batch_size: of the program.
        most: samples.
        device: of the model; default the CPU.

    Raises:
        InputError: where batches are no (x, y) of tensors.
    """
    if isinstance(data, tuple | list):
        if data[1] is None:
            raise InputError("The data have no targets.", "Give (X, y).")
        x, y = _of_arrays(data, min(most, _affordable(data)))
    else:
        batch_size = int(getattr(data, "batch_size", None) or batch_size)
        x, y = _of_batches(data, batch_size, most)
    device = torch.device("cpu") if device is None else device
    return Sample(moved(x, device), moved(y, device), len(y) / max(1, batch_size))


def spied(program: Program, data: Any, most: int, device: torch.device) -> Sample:
    """What a program's own ``step`` gives its model, and the targets that its batches hold.

    Args:
        program: a private one; its model is run in evaluation mode.
        data: of this part.
        most: samples.
        device: of the model.

    Raises:
        InputError: where the model is called with several things, or no targets are told.
    """
    calls = list[Any]()
    program.model.register_forward_pre_hook(lambda module, args: calls.append(args))
    program.model.eval()
    xs, ys, size = list[Tensor](), list[Tensor](), 1
    for batch in source(data, program.batch_size, True, 0, device).epoch(1):
        calls.clear()
        with torch.no_grad():
            program.step(program.model, batch)  # type: ignore[misc]
        given: tuple[Any, ...] = calls[0] if calls else ()
        y = _targets(batch)
        if len(given) != 1 or not isinstance(given[0], Tensor) or y is None or len(y) != len(given[0]):
            raise InputError("The model's inputs and the targets of a batch are not told.", "Give batches (x, y).")
        xs.append(given[0].detach())
        ys.append(y)
        size = max(size, len(y))
        if sum(map(len, ys)) >= most:
            break
    alike = [place for place, x in enumerate(xs) if x.shape[1:] == xs[0].shape[1:]]
    x, y = torch.cat([xs[place] for place in alike]), torch.cat([ys[place] for place in alike])
    return Sample(x, y, len(y) / size)


def nothing(batches: float = 1.0) -> Sample:
    """Stands for samples that cannot be scored: a model answers nothing on them.

    Args:
        batches: that a score would cost.
    """
    return Sample(None, torch.zeros(1), batches)


def _targets(batch: Any) -> Tensor | None:
    """The batch itself where it is one tensor, its second member, or the one with a usual name."""
    if isinstance(batch, Tensor):
        return batch
    if isinstance(batch, Mapping):
        batch = (None, next((batch[name] for name in TARGETS if name in batch), None))
    y = batch[1] if isinstance(batch, tuple | list) and len(batch) > 1 else None
    return y if isinstance(y, Tensor) and y.dim() else None


def _of_arrays(data: Any, most: int) -> tuple[Any, Tensor]:
    """X and y at evenly spread places."""
    n = len(data[1])
    rows = torch.from_numpy(np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64)))
    y = as_tensor(data[1])
    return mapped(as_tensors(data[0]), lambda t: t[rows.to(t.device)]), y[rows.to(y.device)]


def _affordable(data: Any) -> int:
    """Samples that fit into ``BYTES``."""
    size = 0.0
    for leaf in leaves(data[0]):
        shape = getattr(leaf, "shape", None)
        size += 4.0 * math.prod(shape[1:]) if shape is not None else 4.0 * np.size(leaf[0])
    return max(FEWEST, int(BYTES / max(size, 1.0)))


def _of_batches(data: Any, size: int, most: int) -> tuple[Any, Tensor]:
    plain = type(data).__iter__ is DataLoader.__iter__ if isinstance(data, DataLoader) else True
    held = data.dataset if isinstance(data, DataLoader) else data
    placed = plain and hasattr(held, "__getitem__") and not isinstance(held, torch.utils.data.IterableDataset)
    if placed and getattr(data, "batch_sampler", held) is not None:
        known = readable(held) if isinstance(held, Dataset) else list(range(len(held)))
        rows = np.unique(np.linspace(0, len(known) - 1, min(len(known), most)).astype(np.int64)).tolist()
        items = [held[known[row]] for row in rows]
        collate = data.collate_fn if isinstance(data, DataLoader) else default_collate
        try:
            return _pair([collate(items)])
        except (RuntimeError, ValueError):  # samples of different sizes, whose batches have one each
            return _pair([collate(items[a : a + size]) for a in range(0, len(items), size)])
    batches, count = list[Any](), 0
    for batch in data:
        batches.append(batch)
        count += len(leaves(batch[1])[0]) if isinstance(batch, tuple | list) and len(batch) > 1 else size
        if count >= most:
            break
    return _pair(batches)


def _pair(batches: list[Any]) -> tuple[Any, Tensor]:
    """X and y of all batches that have the first one's shapes."""
    first = batches[0] if batches else None
    if not isinstance(first, tuple | list) or len(first) not in (2, 3) or not isinstance(first[1], Tensor):
        raise InputError("Batches are no (x, y) of tensors.", "Give them as (x, y).")
    alike = [batch for batch in batches if _shapes(batch[:2]) == _shapes(first[:2])]
    x, y = (_joined([batch[place] for batch in alike]) for place in (0, 1))
    return x, y


def _shapes(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.shape[1:], value.dtype
    if isinstance(value, Mapping):
        return {key: _shapes(entry) for key, entry in value.items()}
    return [_shapes(entry) for entry in value] if isinstance(value, tuple | list) else type(value)


def _joined(values: list[Any]) -> Any:
    first = values[0]
    if isinstance(first, Tensor):
        return torch.cat(values)
    if isinstance(first, Mapping):
        return {key: _joined([value[key] for value in values]) for key in first}
    if isinstance(first, tuple | list):
        return tuple(_joined(list(members)) for members in zip(*values, strict=True))
    raise InputError("Batches hold something that is no tensor.", "Give tensors.")
