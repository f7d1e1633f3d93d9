"""Exact quantiles of streams in bounded memory, by counting.

The order statistic of rank r is found from histograms: of all 256 levels of uint8; for float32 in two passes, since
its 32 bits, put in ascending order as an integer k, have only 65 536 upper halves and, within the one that holds the
rank, 65 536 lower halves. Quantile q of n values interpolates between the ranks beside (n − 1) q, as np.quantile does.
Memory: 0.5 MB a feature and pass, GROUP features at a time, whatever the number of rows.
"""

from collections.abc import Callable, Iterable

import numpy as np

GROUP = 32
HALF = 1 << 16


def quantiles_of_counts(values: np.ndarray, counts: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Quantiles of data in which ``values[i]`` (ascending) occurs ``counts[i]`` times; 0 where there are none.

    Example:
        >>> quantiles_of_counts(np.array([1.0, 5.0]), np.array([3, 1]), np.array([0.5, 1.0])).tolist()
        [1.0, 5.0]
    """
    total = int(counts.sum())
    if total == 0:
        return np.zeros(len(q))
    position = (total - 1) * np.asarray(q, dtype=np.float64)
    below = np.floor(position)
    ends = np.cumsum(counts)
    low = values[np.searchsorted(ends, below, side="right")].astype(np.float64)
    high = values[np.searchsorted(ends, np.ceil(position), side="right")].astype(np.float64)
    return low + (high - low) * (position - below)


def level_quantiles(chunks: Iterable[np.ndarray], q: np.ndarray) -> np.ndarray:
    """Quantiles (C, len(q)) of the levels 0…255 of each channel of chunks (n, C, H, W) of uint8."""
    counts: np.ndarray | None = None
    for chunk in chunks:
        found = np.stack([np.bincount(chunk[:, c].ravel(), minlength=256) for c in range(chunk.shape[1])])
        counts = found if counts is None else counts + found
    assert counts is not None
    return np.stack([quantiles_of_counts(np.arange(256), row, q) for row in counts])


def float_quantiles(stream: Callable[[], Iterable[np.ndarray]], features: int, q: np.ndarray) -> np.ndarray:
    """Quantiles (F, len(q)) of each column of chunks (n, F) of float32, NaN passed over.

    Args:
        stream: gives the chunks anew at each call; called twice for every GROUP features.
        features: F.
        q: shares in [0, 1].
    """
    found = np.zeros((features, len(q)))
    for first in range(0, features, GROUP):
        found[first : first + GROUP] = _group(stream, slice(first, min(first + GROUP, features)), q)
    return found


def _keys(values: np.ndarray) -> np.ndarray:
    """Float32 as uint32 in the same order: the sign bit flipped, of negative numbers all bits; −0 counts as 0."""
    bits = (values + np.float32(0)).astype(np.float32).view(np.uint32)
    return np.where(bits >> 31, ~bits, bits | np.uint32(1 << 31))


def _values(keys: np.ndarray) -> np.ndarray:
    keys = keys.astype(np.uint32)
    return np.where(keys >> 31, keys & np.uint32((1 << 31) - 1), ~keys).astype(np.uint32).view(np.float32)


def _group(stream: Callable[[], Iterable[np.ndarray]], part: slice, q: np.ndarray) -> np.ndarray:
    columns = part.stop - part.start
    upper = np.zeros((columns, HALF), dtype=np.int64)
    for chunk in stream():
        for i, column in enumerate(chunk[:, part].T):
            upper[i] += np.bincount(_keys(column[~np.isnan(column)]) >> 16, minlength=HALF)
    totals = upper.sum(1)
    needed: list[dict[int, np.ndarray]] = []  # of each column: upper half → counts of the lower halves
    for i in range(columns):
        position = (totals[i] - 1) * q
        ranks = np.concatenate([np.floor(position), np.ceil(position)]) if totals[i] else np.zeros(0)
        halves = np.unique(np.searchsorted(np.cumsum(upper[i]), ranks, side="right"))
        needed.append({int(half): np.zeros(HALF, dtype=np.int64) for half in halves})
    for chunk in stream():
        for i, column in enumerate(chunk[:, part].T):
            keys = _keys(column[~np.isnan(column)])
            for half, lower in needed[i].items():
                lower += np.bincount(keys[keys >> 16 == half] & (HALF - 1), minlength=HALF)
    return np.stack([_from_halves(upper[i], needed[i], q) for i in range(columns)])


def _from_halves(upper: np.ndarray, needed: dict[int, np.ndarray], q: np.ndarray) -> np.ndarray:
    """Quantiles of one column: the halves that hold a rank in full, each of the others as one value of its count."""
    keys, counts, before = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], 0
    for half, lower in needed.items():
        keys += [np.array([half << 16]), (half << 16) + np.arange(HALF)]
        counts += [np.array([upper[before:half].sum()]), lower]
        before = half + 1
    keys.append(np.array([(1 << 32) - 1]))
    counts.append(np.array([upper[before:].sum()]))
    return quantiles_of_counts(_values(np.concatenate(keys)), np.concatenate(counts), q)
