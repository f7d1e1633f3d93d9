"""What a confusion matrix says of each class, and how to show one of any size."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trainwell.report.pictures import shades
from trainwell.report.results import ClassScore, Results

MOST_NUMBERED = 20
MOST_PAIRS = 12
MOST_DRAWN = 1000
BLUE, RED = (47, 111, 208), (200, 70, 60)


@dataclass(frozen=True)
class Cell:
    """One cell: its count, and the share of its row (of all samples of that true class)."""

    count: int
    share: float
    right: bool


@dataclass(frozen=True)
class Pair:
    """Two classes that were mixed up: how often, and the share of the true class's samples."""

    truth: str
    predicted: str
    count: int
    share: float


@dataclass(frozen=True)
class Confusion:
    """The matrix as the page shows it: ``cells`` with numbers for few classes, ``heat`` (a data URI) for many.

    Of more than ``MOST_DRAWN`` classes only the pairs most often mixed up are listed.
    """

    classes: tuple[str, ...]
    cells: tuple[tuple[Cell, ...], ...]
    heat: str
    pairs: tuple[Pair, ...]
    samples: int
    right: int

    @property
    def fits_half(self) -> bool:
        """Whether the table can stand beside a figure: cells of 38, letters of 9 pixels, 470 in all."""
        return bool(self.cells) and 38 * len(self.classes) + 9 * max(map(len, self.classes)) + 40 <= 470


def confusion(results: Results) -> Confusion | None:
    """Return the confusion matrix of ``results`` ready to show, or None where there is none."""
    if results.confusion is None or not len(results.classes):
        return None
    matrix = np.asarray(results.confusion, dtype=np.int64)
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    few = len(matrix) <= MOST_NUMBERED
    cells = tuple(
        tuple(Cell(int(n), float(s), i == j) for j, (n, s) in enumerate(zip(row, share, strict=True)))
        for i, (row, share) in enumerate(zip(matrix, shares, strict=True))
    )
    return Confusion(
        classes=results.classes,
        cells=cells if few else (),
        heat=_heat(shares) if not few and len(matrix) <= MOST_DRAWN else "",
        pairs=worst_pairs(matrix, shares, results.classes),
        samples=int(matrix.sum()),
        right=int(np.trace(matrix)),
    )


def worst_pairs(
    matrix: NDArray[np.int64], shares: NDArray[np.float64], classes: tuple[str, ...], most: int = MOST_PAIRS
) -> tuple[Pair, ...]:
    """Return the classes most often taken for another, by count and then by share; equal ones in the order of codes."""
    rows, columns = np.nonzero(matrix * (1 - np.eye(len(matrix), dtype=np.int64)))
    order = np.lexsort((columns, rows, -shares[rows, columns], -matrix[rows, columns]))[:most]
    return tuple(
        Pair(classes[i], classes[j], int(matrix[i, j]), float(shares[i, j]))
        for i, j in zip(rows[order], columns[order], strict=True)
    )


def _heat(shares: NDArray[np.float64]) -> str:
    """Right answers in blue, wrong ones in red and on a steeper scale (√), so that a single mistake can be seen."""
    right = np.eye(len(shares), dtype=bool)
    colours = np.where(right[..., None], np.array(BLUE), np.array(RED)).astype(np.uint8)
    return shades(np.where(right, shares, np.sqrt(shares)), colours)


def class_scores(results: Results) -> tuple[ClassScore, ...]:
    """Return the given scores, or those of the confusion matrix.

    With c = counts, precision = cᵢᵢ / Σₜ cₜᵢ, recall = cᵢᵢ / Σₚ cᵢₚ, F1 = 2 cᵢᵢ / (Σₜ cₜᵢ + Σₚ cᵢₚ); 0 where the
    denominator is 0, as scikit-learn has it with ``zero_division=0``.
    """
    if results.class_scores or results.confusion is None:
        return results.class_scores
    matrix = np.asarray(results.confusion, dtype=np.float64)
    right, said, true = np.diag(matrix), matrix.sum(0), matrix.sum(1)
    precision, recall = right / np.maximum(said, 1), right / np.maximum(true, 1)
    f1 = 2 * right / np.maximum(said + true, 1)
    return tuple(
        ClassScore(name, float(p), float(r), float(f), int(n))
        for name, p, r, f, n in zip(results.classes, precision, recall, f1, true, strict=True)
    )
