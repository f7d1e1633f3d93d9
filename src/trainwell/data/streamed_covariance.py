"""Mean and covariance of the training rows of any numeric input, chunk by chunk, in a bounded amount of memory.

Two streams, each on one thread with a single-threaded BLAS, take every second chunk and are merged at the end: the
result does not depend on the machine's number of cores. OpenBLAS's own threads wait for each other at every block,
which costs up to ten times the time as soon as another process wants the cores.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from trainwell.data.covariance import Covariance
from trainwell.data.measured import chunks
from trainwell.errors import InputError

CHUNK_BYTES = 1 << 24
STREAMS = 2
MOST_FEATURES = 16384
"""Covariances of more features than this (2 GiB each) are refused: their decomposition takes hours."""


def covariance_of(
    X: np.ndarray, rows: np.ndarray, as_features: Callable[[np.ndarray], np.ndarray] | None = None
) -> Covariance:
    """Mean and covariance of these rows.

    Args:
        X: all rows, any shape (N, …), in memory or memory-mapped.
        rows: indices of those that count.
        as_features: turns a chunk (n, …) into rows of features (m, F); flattens each row if None.

    Raises:
        InputError: for more than 16384 features, or if a value is not finite.
    """
    as_features = as_features or (lambda chunk: chunk.reshape(len(chunk), -1))
    features = as_features(X[:1]).shape[1]
    if features > MOST_FEATURES:
        raise InputError(
            f"The covariance of {features} features would take {features**2 * 8 / 2**30:.0f} GiB, "
            f"and {MOST_FEATURES} features are the most that are whitened.",
            "Make the samples smaller, or use a scaling feature by feature such as standard.",
        )
    step = max(1, CHUNK_BYTES // max(1, X[:1].nbytes))
    starts = range(0, len(rows), step)

    def stream(first: int) -> Covariance | None:
        total: Covariance | None = None
        for start in starts[first::STREAMS]:
            (chunk,) = chunks(X, rows[start : start + step], CHUNK_BYTES)
            part = Covariance.of(as_features(chunk))
            total = part if total is None else total.merge(part)
        return total

    try:
        with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(STREAMS) as workers:
            parts = [part for part in workers.map(stream, range(STREAMS)) if part is not None]
    except ValueError as error:
        raise InputError(f"The training part cannot be whitened: {error}") from error
    total = parts[0]
    for part in parts[1:]:
        total = total.merge(part)
    return total
