"""Columns that are the target spelled out: known in the table, unknown when predictions are wanted.

A column leaks if it determines the target one-to-one: a category or number with as many values as there are classes,
each with one class of its own; for regression a number of which the target is a strictly monotone function, or an
affine one up to rounding (largest deviation 1e-6 of the range). Columns that merely predict well do not leak.
"""

import numpy as np

LEAST_ROWS = 10
"""Fewer rows agree by chance: five and five of two classes with probability 2 / 252."""
MOST_VALUES = 100
AFFINE_TOLERANCE = 1e-6


def spells_out(values: np.ndarray, y: np.ndarray) -> bool:
    """Whether codes or numbers and class codes determine each other.

    Args:
        values: (N,) numbers, NaN = missing, or codes, -1 = missing.
        y: (N,) class codes.
    """
    known = ~np.isnan(values) if values.dtype.kind == "f" else values >= 0
    if known.sum() < max(LEAST_ROWS, len(y) / 2):
        return False
    found, codes = np.unique(values[known], return_inverse=True)
    classes = len(np.unique(y[known]))
    if len(found) != classes or classes < 2 or classes > MOST_VALUES:
        return False
    return len(np.unique(codes * (int(y.max()) + 1) + y[known])) == classes


def is_function_of(values: np.ndarray, y: np.ndarray) -> bool:
    """Whether a quantity y is a strictly monotone or an affine function of the numbers.

    Args:
        values: (N,) numbers, NaN = missing.
        y: (N,) numbers.
    """
    known = ~np.isnan(values)
    if known.sum() < max(LEAST_ROWS, len(y) / 2):
        return False
    x, y = values[known], y[known]
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return False
    x_centred, y_centred = x - x.mean(), y - y.mean()
    slope = (x_centred @ y_centred) / (x_centred @ x_centred)
    if np.abs(y_centred - slope * x_centred).max() <= AFFINE_TOLERANCE * np.ptp(y):
        return True
    order = np.argsort(x, kind="stable")
    x_step, y_step = np.diff(x[order]) > 0, np.diff(y[order])
    same = bool((y_step[~x_step] == 0).all())
    return same and (bool((y_step[x_step] > 0).all()) or bool((y_step[x_step] < 0).all()))
