"""Folds of a cross-validation: every row is in the test part of exactly one fold.

Rows are permuted, put in the order of their class (or their group), and dealt out in turns, so that folds differ by at
most one row of each class.
"""

import numpy as np

from trainwell.errors import InputError


def parse_fold(text: str) -> tuple[int, int]:
    """``"2/5"`` as (2, 5).

    Raises:
        InputError: unless it is K/N with 1 ≤ K ≤ N and N ≥ 2.
    """
    first, slash, second = text.partition("/")
    if slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second) and int(second) >= 2:
        return int(first), int(second)
    raise InputError(f"The fold is {text!r}.", "Write K/N, for example 2/5.")


def fold_of_rows(
    count: int, folds: int, seed: int, *, codes: np.ndarray | None = None, keys: np.ndarray | None = None
) -> np.ndarray:
    """The fold (0 … folds − 1) of each row, shape (count,).

    Args:
        count: number of rows.
        folds: number of folds.
        seed: of the permutation.
        codes: (count,) class of each row, dealt out evenly; None: any order.
        keys: (count,) group of each row; groups stay whole and are dealt out, the largest first, to the smallest fold.

    Raises:
        InputError: if there are fewer rows (or groups) than folds.
    """
    rng = np.random.default_rng(seed)
    if keys is not None:
        return _groups(keys, folds, rng)
    if count < folds:
        raise InputError(f"{folds} folds need at least {folds} rows; there are {count}.", "Ask for fewer folds.")
    order = rng.permutation(count)
    if codes is not None:
        order = order[np.argsort(codes[order], kind="stable")]
    fold = np.empty(count, dtype=np.int64)
    fold[order] = np.arange(count) % folds
    return fold


def _groups(keys: np.ndarray, folds: int, rng: np.random.Generator) -> np.ndarray:
    groups, inverse, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    if len(groups) < folds:
        found = f"there are {len(groups)}"
        raise InputError(f"{folds} folds need at least {folds} groups; {found}.", "Ask for fewer folds.")
    place, filled = np.empty(len(groups), dtype=np.int64), np.zeros(folds)
    for group in sorted(rng.permutation(len(groups)), key=lambda g: -sizes[g]):
        place[group] = int(np.argmin(filled))
        filled[place[group]] += sizes[group]
    return place[inverse]
