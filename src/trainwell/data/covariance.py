"""Mean and covariance of a stream in one pass, without cancellation and at the speed of matrix products.

A block of n rows, small enough for the processor's cache, gives its mean μ and its scatter S = Σ (x − μ)(x − μ)ᵀ, both
in float64; blocks, chunks and the streams of several processes a and b merge by

    δ = μ_b − μ_a,    μ = μ_a + δ n_b / n,    S = S_a + S_b + δδᵀ n_a n_b / n,    n = n_a + n_b.

The covariance is S / n, of the units of x squared. Products in float32 would be faster, and off by 1e-7.
Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", The American Statistician 37.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

BLOCK_BYTES = 1 << 22
"""Float64 rows centred and multiplied at once: 4 MB; at 8 MB and more the matrix product waits for memory."""
FEWEST_BLOCK_ROWS = 1024
"""A product of fewer rows than this costs less than adding its result up, once there are thousands of features."""


@dataclass(frozen=True)
class Covariance:
    """Count, mean and scatter of the rows seen so far.

    Args:
        count: number of rows n.
        mean: of each feature, shape (F,), float64.
        scatter: Σ (x − μ)(x − μ)ᵀ over the rows, shape (F, F), float64, symmetric.
    """

    count: int
    mean: np.ndarray
    scatter: np.ndarray

    @staticmethod
    def of(rows: np.ndarray) -> "Covariance":
        """Of the rows of one chunk, shape (N, F), of any real dtype.

        Raises:
            ValueError: if the chunk is not a matrix of at least one row, or holds a value that is not finite.

        Example:
            >>> Covariance.of(np.array([[1.0, 2.0], [3.0, 6.0]])).covariance().tolist()
            [[1.0, 2.0], [2.0, 4.0]]
        """
        if rows.ndim != 2 or 0 in rows.shape:
            raise ValueError(
                f"Covariance: a chunk has shape {rows.shape}. Give a matrix (rows, features) with one row or more."
            )
        scatter = np.zeros((rows.shape[1], rows.shape[1]))
        product = np.empty_like(scatter)
        counts, means = [], []
        for start, centred, mean in _centred_blocks(rows):
            if not np.isfinite(mean).all():
                _refuse(rows[start : start + len(centred)], start)
            scatter += np.matmul(centred.T, centred, out=product)
            counts.append(len(centred))
            means.append(mean)
        if len(counts) == 1:
            return Covariance(len(rows), means[0], scatter)
        shares, stacked = np.array(counts) / len(rows), np.stack(means)
        mean = shares @ stacked
        between = (stacked - mean) * np.sqrt(counts)[:, None]
        scatter += np.matmul(between.T, between, out=product)
        return Covariance(len(rows), mean, scatter)

    def merge(self, other: "Covariance") -> "Covariance":
        """Of both streams together.

        Raises:
            ValueError: if they have different numbers of features.
        """
        if self.mean.shape != other.mean.shape:
            raise ValueError(
                f"Covariance: a stream of {len(self.mean)} features cannot be merged with one of {len(other.mean)}. "
                "Merge streams of the same features."
            )
        count = self.count + other.count
        delta = other.mean - self.mean
        scatter = np.outer(delta, delta * (self.count * other.count / count))
        scatter += self.scatter
        scatter += other.scatter
        return Covariance(count, self.mean + delta * (other.count / count), scatter)

    def covariance(self) -> np.ndarray:
        """Mean of (x − μ)(x − μ)ᵀ, divided by n, shape (F, F)."""
        return self.scatter / self.count

    def divided_by(self, unit: float) -> "Covariance":
        """Of x / unit instead of x."""
        return Covariance(self.count, self.mean / unit, self.scatter / unit**2)


def _centred_blocks(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """First row, block minus its mean (float64, overwritten by the next block), and that mean."""
    size = max(FEWEST_BLOCK_ROWS, BLOCK_BYTES // (8 * rows.shape[1]))
    buffer = np.empty((min(size, len(rows)), rows.shape[1]))
    ones = np.ones(len(buffer))
    for start in range(0, len(rows), size):
        block = rows[start : start + size]
        centred = buffer[: len(block)]
        with np.errstate(invalid="ignore", over="ignore"):  # what is not finite is refused with its place
            centred[:] = block
            mean = ones[: len(block)] @ centred / len(block)
            centred -= mean
            rest = ones[: len(block)] @ centred / len(block)  # the rounding of the mean, for values ≫ their spread
        yield start, centred, mean + rest


def _refuse(block: np.ndarray, start: int) -> None:
    bad = np.argwhere(~np.isfinite(block))
    if not len(bad):
        raise ValueError("Covariance: the sum of a block's values overflows float64. Divide the features by a unit.")
    row, feature = bad[0]
    raise ValueError(
        f"Covariance: row {start + row} of the chunk has {block[row, feature]} in feature {feature}. "
        "Fill or leave out what is not finite."
    )
