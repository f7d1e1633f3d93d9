"""Batches of the training data, in an order that depends on seed and epoch alone.

What is in memory is gathered as whole tensors (a ``DataLoader`` over tensors is 15 to 300 times slower). The order of
epoch e is a permutation drawn from a generator of its own, so an epoch can be taken up in the middle.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from trainwell.errors import InputError
from trainwell.training.program import leaves


def as_tensor(x: Any) -> Tensor:
    """A tensor over the same memory where possible; lists are copied."""
    if isinstance(x, Tensor):
        return x
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a memory-mapped file is read-only, and we only read it
        return torch.from_numpy(np.asarray(x))


def mapped(x: Any, change: Any) -> Any:
    """X with ``change`` applied to each of its tensors."""
    if isinstance(x, Mapping):
        return {key: mapped(value, change) for key, value in x.items()}
    if isinstance(x, tuple | list):
        return type(x)(mapped(value, change) for value in x)
    return change(x) if isinstance(x, Tensor) else x


def moved(x: Any, device: torch.device) -> Any:
    """X on the device; unchanged where it is there already."""
    return mapped(x, lambda t: t.to(device, non_blocking=True))


def permutation(seed: int, epoch: int, n: int) -> Tensor:
    """The order of samples in this epoch, shape (n,)."""
    generator = torch.Generator().manual_seed((seed * 1_000_003 + epoch * 7_919 + 17) % 2**63)
    return torch.randperm(n, generator=generator)


def last_batch(n: int, batch_size: int) -> int:
    """Number of batches; a leftover of one sample would upset batch normalization and is dropped."""
    batches = -(-n // batch_size)
    return batches - 1 if n % batch_size == 1 and batch_size > 1 and n > 1 else batches


Growth = Callable[[int], int] | None
"""Epoch from 0 → samples a batch."""


class InMemory:
    """Batches gathered from tensors or arrays; ``data`` is (X, y) or (X, y, weight).

    With ``growth``, the size of the batches is that of the epoch: ``growth(epoch - 1)``.
    """

    def __init__(
        self, data: Any, batch_size: int, shuffle: bool, seed: int, device: torch.device, growth: Growth = None
    ) -> None:
        x, *rest = data
        self.data = (mapped(as_tensors(x), lambda t: t), *(as_tensor(piece) for piece in rest if piece is not None))
        self.n = len(leaves(self.data[0])[0])
        self.batch_size, self.shuffle, self.seed, self.device = batch_size, shuffle, seed, device
        self.batches, self.growth = last_batch(self.n, batch_size), growth
        if device.type == "cuda" and _bytes(self.data) < 0.25 * torch.cuda.mem_get_info(device)[0]:
            self.data = moved(self.data, device)

    def begin(self, epoch: int) -> None:
        """Take the batch size of this epoch."""
        if self.growth is not None:
            self.batch_size = self.growth(epoch - 1)
            self.batches = last_batch(self.n, self.batch_size)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Batches ``start``, ``start + 1``, … of the epoch (from 1), each gathered into fresh memory."""
        order = permutation(self.seed, epoch, self.n) if self.shuffle else torch.arange(self.n)
        home = leaves(self.data[0])[0].device
        rest = order.to(home)[start * self.batch_size : self.batches * self.batch_size]
        plain = all(isinstance(piece, Tensor) for piece in self.data)
        for index in rest.split(self.batch_size) if len(rest) else ():
            if plain:
                batch: Any = tuple([piece.index_select(0, index) for piece in self.data])
            else:
                batch = mapped(self.data, lambda t, index=index: t.index_select(0, index))
            yield batch if home == self.device else moved(batch, self.device)


class FromDataset:
    """Batches of a map-style ``Dataset``, collated by torch, in the order of :func:`permutation`."""

    def __init__(self, data: Dataset, batch_size: int, shuffle: bool, seed: int, device: torch.device) -> None:
        self.dataset, self.batch_size, self.shuffle, self.seed, self.device = data, batch_size, shuffle, seed, device
        self.n = len(data)  # type: ignore[arg-type]
        self.batches = last_batch(self.n, batch_size)

    def begin(self, epoch: int) -> None:
        """The size of the batches stays."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """Batches from ``start`` on; samples before it are not read."""
        order = permutation(self.seed, epoch, self.n).tolist() if self.shuffle else list(range(self.n))
        rest = order[start * self.batch_size : self.batches * self.batch_size]
        sampler = BatchSampler(rest, self.batch_size, drop_last=False)
        for batch in DataLoader(self.dataset, batch_sampler=sampler, generator=torch.Generator()):
            yield moved(batch, self.device)


class FromLoader:
    """Batches of the user's own ``DataLoader``; its order is drawn from torch's global generator or its own."""

    def __init__(self, data: DataLoader, device: torch.device) -> None:
        self.loader, self.device = data, device
        self.batch_size = data.batch_size or 1
        try:
            self.batches = len(data)
        except TypeError:
            raise InputError(
                "fit: the DataLoader has no length (an endless or iterable dataset).",
                "Give it a dataset with __len__, so that epochs and the schedule are defined.",
            ) from None
        self.n = self.batches * self.batch_size
        self.generators = own_generators(data)

    def begin(self, epoch: int) -> None:
        """The size of the batches stays."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[Any]:
        """All batches of the epoch; the first ``start`` are drawn and thrown away.

        A sampler that asks for it is told the epoch: ``DistributedSampler`` repeats one order otherwise.
        """
        for holder in _samplers(self.loader):
            if hasattr(holder, "set_epoch"):
                holder.set_epoch(epoch)
        for i, batch in enumerate(self.loader):
            if i >= start:
                yield moved(batch, self.device)


def own_generators(data: Any) -> list[torch.Generator]:
    """The generators that a ``DataLoader`` and its samplers draw from instead of the global one."""
    if not isinstance(data, DataLoader):
        return []
    found = [getattr(holder, "generator", None) for holder in (data, *_samplers(data))]
    return list(dict.fromkeys(generator for generator in found if generator is not None))


def _samplers(data: DataLoader) -> list[Any]:
    return [data.sampler, data.batch_sampler, getattr(data.batch_sampler, "sampler", None)]


Source = InMemory | FromDataset | FromLoader


def source(data: Any, batch_size: int, shuffle: bool, seed: int, device: torch.device, growth: Growth = None) -> Source:
    """The right kind of batches for what a ``Program`` holds as data.

    Raises:
        InputError: for batches that grow of data that are not in memory.
    """
    if growth is not None and isinstance(data, DataLoader | Dataset):
        raise InputError("fit: batches can only grow of data in memory.", "Give (X, y) tensors, or no growth.")
    if isinstance(data, DataLoader):
        return FromLoader(data, device)
    if isinstance(data, Dataset):
        return FromDataset(data, batch_size, shuffle, seed, device)
    return InMemory(data, batch_size, shuffle, seed, device, growth)


def endless(batches: Source) -> Iterator[Any]:
    """Batches of one epoch after the other."""
    epoch = 0
    while True:
        epoch += 1
        yield from batches.epoch(epoch)


def all_steps(program: Any, batches: Source) -> int:
    """Steps of the whole run, also where the batches grow."""
    if program.growth is None:
        return int(program.epochs * batches.batches)
    return sum(last_batch(batches.n, program.growth(epoch)) for epoch in range(program.epochs))


def as_tensors(x: Any) -> Any:
    """X, or the members of a tuple or dict, as tensors over the same memory where possible."""
    if isinstance(x, Mapping):
        return {key: as_tensor(value) for key, value in x.items()}
    return tuple(as_tensor(value) for value in x) if isinstance(x, tuple) else as_tensor(x)


def _bytes(data: Any) -> int:
    x, *rest = data
    return sum(t.numel() * t.element_size() for t in [*leaves(x), *rest])


def refuse_nonfinite_targets(batches: Source) -> None:
    """Say so where targets or weights in memory are the reason for a loss that is not finite.

    Raises:
        InputError: with the first such row.
    """
    if not isinstance(batches, InMemory):
        return
    for name, piece in zip(("y", "weight"), batches.data[1:], strict=False):
        for leaf in leaves(piece):
            if leaf.is_floating_point() and not bool(torch.isfinite(leaf).all()):
                row = int((~torch.isfinite(leaf)).nonzero()[0][0])
                raise InputError(
                    f"fit: {name} of the training data has a value that is not finite, first at row {row}.",
                    "Remove such rows or fill the values in.",
                )
