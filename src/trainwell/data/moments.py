"""Mean and variance of a stream in one pass, without cancellation.

Each chunk gives its count n, mean μ and M2 = Σ(x - μ)² in two passes over the chunk; chunks a and b merge by

    δ = μ_b - μ_a,    μ = μ_a + δ n_b / n,    M2 = M2_a + M2_b + δ² n_a n_b / n,    n = n_a + n_b,

in float64. NaN are passed over, entry by entry.
Source: Chan, Golub, LeVeque 1983, "Algorithms for computing the sample variance", The American Statistician 37.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Moments:
    """Count, mean and sum of squared deviations, each of the shape of one row (float64)."""

    count: np.ndarray
    mean: np.ndarray
    m2: np.ndarray

    @staticmethod
    def of(rows: np.ndarray) -> "Moments":
        """Of the rows of one chunk (axis 0), NaN passed over.

        Example:
            >>> Moments.of(np.array([[1.0], [2.0], [3.0]])).variance().tolist()
            [0.6666666666666666]
        """
        rows = rows.astype(np.float64)
        known = ~np.isnan(rows)
        count = known.sum(0).astype(np.float64)
        divisor = np.maximum(count, 1)
        mean = np.where(known, rows, 0).sum(0) / divisor
        deviations = np.where(known, rows - mean, 0)
        correction = deviations.sum(0) / divisor
        m2 = np.square(deviations).sum(0) - count * np.square(correction)
        return Moments(count, mean + correction, np.maximum(m2, 0))

    def merge(self, other: "Moments") -> "Moments":
        """Of both streams together."""
        count = self.count + other.count
        divisor = np.maximum(count, 1)
        delta = other.mean - self.mean
        mean = np.where(self.count == 0, other.mean, self.mean + delta * other.count / divisor)
        return Moments(count, mean, self.m2 + other.m2 + delta**2 * self.count * other.count / divisor)

    def variance(self) -> np.ndarray:
        """Mean squared deviation, divided by n; 0 where nothing was seen."""
        return self.m2 / np.maximum(self.count, 1)
