"""Which samples are copies of which: a hash of each row, and how often rows would repeat by chance.

h = Σⱼ rⱼ wⱼ mod 2⁶⁴ over the row's 32-bit words w with fixed odd random numbers r: equal rows have equal hashes, and
n rows have a false pair with probability n²/2⁶⁵. Chance: n (n − 1) / 2 pairs, each equal with probability Πⱼ Σᵥ p²ⱼᵥ if
features were independent; rows of few bits, such as those of flags and categories, repeat of themselves.
"""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from trainwell.clinic.subject import Subject
from trainwell.training.batches import as_tensor
from trainwell.training.program import leaves

CHUNK = 1 << 22  # words hashed at a time: 32 MB of products
LOOKED = 2_000  # rows that bits are counted in
MOST = 300_000_000  # numbers that are hashed: a second
CAREFUL = 10.0  # bits beyond those of all pairs, since features are not independent


def hashes(x: Any) -> np.ndarray:
    """One number a row, shape (N,), uint64."""
    parts = [as_tensor(leaf) for leaf in leaves(x)]
    total = np.zeros(len(parts[0]), dtype=np.uint64)
    for place, part in enumerate(parts):
        if not part.numel():
            continue  # a table without categories
        flat = part.detach().cpu().reshape(len(part), -1)
        draws = np.random.Generator(np.random.PCG64(place))
        words = 2 if flat.dtype in (torch.float64, torch.int64) else 1
        factors = draws.integers(0, 2**63, flat.shape[1] * words, dtype=np.uint64) * 2 + 1
        step = max(1, CHUNK // max(1, len(factors)))
        with np.errstate(over="ignore"):
            for begin in range(0, len(flat), step):
                total[begin : begin + step] += _words(flat[begin : begin + step]).astype(np.uint64) @ factors
    return total


def _words(rows: Tensor) -> np.ndarray:
    """Rows as 32-bit words; −0 as 0."""
    if rows.is_floating_point():
        rows = (rows if rows.dtype == torch.float64 else rows.float()) + 0.0
    elif rows.dtype != torch.int64:
        rows = rows.int()
    return np.ascontiguousarray(rows.numpy()).view(np.uint32)


def inputs(subject: Subject, part: str) -> tuple[Any, Tensor, bool] | None:
    """X and y of ``train`` or ``val``, all rows where they are in memory, and whether these are all."""
    data = getattr(subject.program, part)
    if data is None:
        return None
    if not isinstance(data, DataLoader | Dataset):
        if sum(math.prod(leaf.shape) for leaf in leaves(data[0])) > MOST:
            return None
        return data[0], as_tensor(data[1]), True
    sample = subject.train if part == "train" else subject.val
    if sample is None or (
        isinstance(data, DataLoader) and not isinstance(data.sampler, torch.utils.data.SequentialSampler)
    ):
        return None if sample is None else (sample.x, sample.y, False)
    held: Any = data.dataset if isinstance(data, DataLoader) else data
    return sample.x, sample.y, len(held) == len(sample.y)


def told_apart(x: Any, n: int) -> bool:
    """Have rows so many bits that none of n would repeat by chance?"""
    bits = 0.0
    for leaf in leaves(x):
        rows = as_tensor(leaf).detach().cpu()
        if not rows.numel():
            continue
        rows = rows[:: max(1, len(rows) // LOOKED)].reshape(-1, rows[0].numel())
        columns = np.sort(rows[:, :4096].double().numpy(), axis=0)
        bits += float(sum(_collision_bits(columns[:, j]) for j in range(columns.shape[1])))
    return bits >= 2 * math.log2(max(n, 2)) + CAREFUL


def _collision_bits(column: np.ndarray) -> float:
    """−log₂ of the probability that two different entries of a sorted column are equal."""
    edges = np.flatnonzero(column[1:] != column[:-1])
    counts = np.diff(np.concatenate(([-1], edges, [len(column) - 1])))
    n = len(column)
    same = float((counts * (counts - 1.0)).sum()) / max(n * (n - 1.0), 1.0)
    return -math.log2(max(same, 1.0 / max(n * n, 2)))
