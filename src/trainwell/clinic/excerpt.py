"""Stand-ins for datasets and loaders that an exam may read as often as it likes: a bounded share of them, held.

What the user's own loader would read again at every rehearsal (files, decoded pictures, a database) is read once, for
``SECONDS`` at most, in runs of one batch that are spread over all samples; an index that was not read stands for one
near it. The stand-in has the length, the sampler and the collation of the original, so that steps and epochs stay what
they are. Of a dataset that only runs forward, batches are held and played again.

The user's objects are read through shallow copies with generators of their own: no worker is started, no iterator is
kept, no generator moves on.
"""

import copy
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from trainwell.clinic.duplicate import OWN_DICE
from trainwell.errors import InputError

SECONDS, ROWS, BYTES = 2.0, 20_000, 1 << 28
FEWEST = 2  # samples that are read whatever they take
ENDLESS = 1_000  # batches of an epoch of data that do not say how long they are
NESTED = 4  # datasets in datasets


class Excerpt(Dataset):
    """Some samples of a dataset in place of all.

    Args:
        data: a dataset with a length.
        run: samples read in a row, a batch.
        seconds: to spend.

    Attributes:
        held: index → sample.
        broken: index → what reading it raised.
    """

    def __init__(self, data: Any, run: int, seconds: float = SECONDS) -> None:
        self.total, self.run = len(data), max(1, run)
        self.held: dict[int, Any] = {}
        self.broken: dict[int, Exception] = {}
        own, began, size = _own(data), time.perf_counter(), 0
        for start in spread_over(-(-self.total // self.run)):
            for index in range(start * self.run, min(self.total, (start + 1) * self.run)):
                read = len(self.held) + len(self.broken)
                late = time.perf_counter() - began > seconds or size > BYTES
                if read >= ROWS or (late and read >= FEWEST):
                    break
                try:
                    self.held[index] = own[index]
                except Exception as error:  # a broken sample is a finding
                    self.broken[index] = error
                else:
                    size += _bytes(self.held[index])
            else:
                continue
            break
        self._known = np.array(sorted([*self.held, *self.broken]), dtype=np.int64)

    @property
    def complete(self) -> bool:
        """Whether all samples were read."""
        return len(self._known) == self.total

    @property
    def known(self) -> list[int]:
        """The indices that were read without an error, ascending."""
        return sorted(self.held)

    def __len__(self) -> int:
        return self.total

    def __getitem__(self, index: int) -> Any:
        index = int(index)
        if index < 0:
            index += self.total
        if not 0 <= index < self.total:
            raise IndexError(f"sample {index} of {self.total}")
        near = index if index in self.held or index in self.broken else self._near(index)
        if near in self.broken:
            raise self.broken[near]
        return self.held[near]

    def _near(self, index: int) -> int:
        """A sample that was read, in the nearest run, at the same place of it."""
        place = int(np.searchsorted(self._known, index))
        around = self._known[max(0, place - 1) : place + 1]
        run = int(around[np.abs(around - index).argmin()]) // self.run
        inside = self._known[np.searchsorted(self._known, run * self.run) :]
        inside = inside[: np.searchsorted(inside, (run + 1) * self.run)]
        return int(inside[index % self.run % len(inside)])


class _Forward(IterableDataset):
    """Stands where a dataset was that only runs forward."""

    def __init__(self, batches: Sequence[Any]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self.batches)


class Replay(DataLoader):
    """Batches that were read once, again and again.

    Args:
        batches: that were read.
        length: batches of an epoch.
        batch_size: samples of a batch.
        error: what broke the reading off.
    """

    def __init__(self, batches: list[Any], length: int, batch_size: int, error: Exception | None = None) -> None:
        super().__init__(_Forward(batches), batch_size=batch_size, generator=torch.Generator())
        self.read, self.length, self.error = batches, length, error

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Any:
        """An epoch of them."""
        for place in range(self.length):
            if self.error is not None and place >= len(self.read):
                raise self.error
            yield self.read[place % len(self.read)]


def excerpt(data: Any, batch_size: int, part: str, seconds: float = SECONDS) -> Any:
    """A stand-in for a ``Dataset`` or ``DataLoader``; other data as they are.

    Args:
        data: of a program.
        batch_size: of the program.
        part: ``train`` or ``val``, for the sentences.
        seconds: to spend on reading.

    Raises:
        InputError: for data that can be read only once, or that have no samples.
    """
    if isinstance(data, Excerpt | Replay) or not isinstance(data, Dataset | DataLoader):
        return data
    if isinstance(data, IterableDataset):
        data = DataLoader(data, batch_size=batch_size)
    if isinstance(data, Dataset):
        _refuse_empty(data, part)
        return Excerpt(data, batch_size, seconds)
    if type(data).__iter__ is not DataLoader.__iter__ or not _has_places(data.dataset) or data.batch_sampler is None:
        return _replayed(data, part, seconds)
    _refuse_empty(data.dataset, part)
    size = data.batch_size or getattr(data.batch_sampler, "batch_size", None) or batch_size
    return loader_like(data, Excerpt(data.dataset, int(size), seconds))


def loader_like(loader: DataLoader, dataset: Any) -> DataLoader:
    """A loader of the same kind over another dataset, with samplers and generators of its own, without workers."""
    memo: dict[int, Any] = {id(loader.dataset): dataset}
    own: dict[str, Any] = {"dataset": dataset, "num_workers": 0, "prefetch_factor": None, "_iterator": None}
    own |= {"persistent_workers": False, "timeout": 0, "_DataLoader__multiprocessing_context": None}
    for name in ("sampler", "batch_sampler", "generator"):
        try:
            own[name] = copy.deepcopy(getattr(loader, name), memo)
        except Exception:  # a sampler without a copy is the user's own; its generator is put back afterwards
            own[name] = getattr(loader, name)
    made = copy.copy(loader)
    made.__dict__.update(own)
    return made


def spread_over(count: int) -> Iterator[int]:
    """0 … count − 1, each once, in an order whose every beginning is spread over all: bits of the index reversed.

    Example:
        >>> list(spread_over(6))
        [0, 4, 2, 1, 5, 3]
    """
    bits = max(1, (count - 1).bit_length())
    for place in range(1 << bits):
        index = int(f"{place:0{bits}b}"[::-1], 2)
        if index < count:
            yield index


def readable(dataset: Any) -> list[int]:
    """Indices of a dataset that stand for samples of their own; through ``Subset`` and the like."""
    indices, inner = getattr(dataset, "indices", None), getattr(dataset, "dataset", getattr(dataset, "data", None))
    if isinstance(dataset, Excerpt):
        return dataset.known
    if inner is None or not isinstance(inner, Dataset):
        return list(range(len(dataset)))
    below = set(readable(inner))
    if indices is None:
        return sorted(below)
    return [place for place, index in enumerate(indices) if int(index) in below]


def _replayed(loader: DataLoader, part: str, seconds: float) -> Replay:
    own = loader_like(loader, _own(loader.dataset))
    stream: Any = own.dataset
    if isinstance(stream, IterableDataset) and iter(stream) is stream:
        raise InputError(
            f"examine: {part} is a stream that can be read only once, and the exam would use it up.",
            "Let __iter__ of the dataset begin anew each time.",
        )
    batches, error, size, began, ended = list[Any](), None, 0, time.perf_counter(), False
    try:
        for batch in own:
            batches.append(batch)
            size += _bytes(batch)
            if time.perf_counter() - began > seconds or size > BYTES or len(batches) >= ENDLESS:
                break
        else:
            ended = True
    except Exception as caught:
        error = caught
    try:
        length = len(own)
    except TypeError:
        length = len(batches) if ended else ENDLESS
    if not batches and error is None:
        _refuse(part)
    samples = loader.batch_size or (_length(batches[0]) if batches else 1)
    return Replay(batches, max(length, 1), samples, error)


def _own(data: Any, level: int = 0) -> Any:
    """A shallow copy of a dataset, with containers and generators of its own; the dataset itself where it has none."""
    if not isinstance(data, Dataset) or level > NESTED:
        return data
    try:
        made = copy.copy(data)
        for name, value in vars(data).items():
            if isinstance(value, OWN_DICE):
                made.__dict__[name] = copy.deepcopy(value)
            elif isinstance(value, dict | list | set):
                made.__dict__[name] = copy.copy(value)
            elif isinstance(value, Dataset):
                made.__dict__[name] = _own(value, level + 1)
    except Exception:  # a dataset without a copy is read as it is
        return data
    return made


def _has_places(data: Any) -> bool:
    if isinstance(data, IterableDataset) or not hasattr(data, "__getitem__"):
        return False
    try:
        return len(data) >= 0
    except TypeError:
        return False


def _refuse_empty(data: Any, part: str) -> None:
    try:
        length = len(data)
    except TypeError as error:
        raise InputError(
            f"examine: the dataset of {part} has no length.", "Give it __len__, or make it an IterableDataset."
        ) from error
    if length == 0:
        _refuse(part)


def _refuse(part: str) -> None:
    raise InputError(f"examine: {part} gives no batch.", "Give at least one (is drop_last on, or the sampler empty?).")


def _length(batch: Any) -> int:
    while not isinstance(batch, Tensor):
        if isinstance(batch, dict):
            batch = next(iter(batch.values()), 1)
        elif isinstance(batch, list | tuple) and len(batch):
            batch = batch[0]
        else:
            return 1
    return len(batch) if batch.dim() else 1


def _bytes(value: Any) -> int:
    """What a sample holds in memory; views of what the dataset holds count too."""
    if isinstance(value, Tensor | np.ndarray):
        return int(value.nbytes)
    if isinstance(value, dict):
        return sum(map(_bytes, value.values()))
    return sum(map(_bytes, value)) if isinstance(value, list | tuple) else 64


__all__ = ["Excerpt", "Replay", "excerpt", "loader_like", "readable", "spread_over"]
