"""Which rows train, validate and test: stratified, random, by groups or by time.

Stratified: class c of n_c rows gives the part n_c·f rows, rounded by the largest remainders so that the part has its
size; classes of one or two rows stay in the training part. Seeded by `numpy.random.default_rng`.
"""

from dataclasses import replace

import numpy as np

from trainwell.data.dataset import SplitOptions, Splits
from trainwell.data.fold import fold_of_rows, parse_fold
from trainwell.errors import InputError

WAYS = ("stratified", "random", "group", "time")
VAL_SHARE, TEST_SHARE = 0.1, 0.2
LEAST_VAL, MOST_VAL_SHARE = 30, 0.2
"""A tenth of a small table measures little: val gets 30 rows where these are at most a fifth."""
MOST_VAL_OF_PARTED = 5000


def split_rows(
    count: int,
    options: SplitOptions | None = None,
    *,
    codes: np.ndarray | None = None,
    keys: np.ndarray | None = None,
    parts: dict[str, tuple[int, int]] | None = None,
) -> tuple[Splits, tuple[str, ...]]:
    """Share out rows 0 … count-1.

    Args:
        count: number of rows.
        options: how; `SplitOptions()` if None.
        codes: (N,) class codes to stratify by; None: random instead.
        keys: (N,) integers: the group of each row (by="group") or its rank in time (by="time").
        parts: the source's own parts, "train", "val", "test" → (first, after the last); its test and val rows stay.

    Returns:
        The parts, and sentences on what is special about them.
    """
    options, parts = options or SplitOptions(), parts or {}
    _check(options, keys)
    if options.fold:
        return _fold(count, options, codes, keys)
    rng = np.random.default_rng(options.seed)
    rows = np.arange(*parts["train"]) if parts else np.arange(count)
    given: dict[str, np.ndarray] = {name: np.arange(*parts[name]) for name in ("val", "test") if name in parts}
    sizes = _sizes(len(rows), options, given)
    notes: list[str] = []
    if options.by == "time" and keys is not None:
        drawn = _by_time(rows, keys[rows], sizes)
    elif options.by == "group" and keys is not None:
        drawn = _by_group(rows, keys[rows], sizes, rng)
    elif options.by == "stratified" and codes is not None:
        counts = np.bincount(codes[rows])
        rare = np.flatnonzero((counts > 0) & (counts < 3))
        if len(rare) and sum(sizes.values()):
            which = "1 class has" if len(rare) == 1 else f"{len(rare)} classes have"
            notes.append(f"{which} fewer than 3 rows, which all stay in the training part.")
        drawn = _stratified(rows, codes, rare, sizes, rng)
    else:
        shuffled = rng.permutation(rows)
        drawn = {"test": shuffled[: sizes["test"]], "val": shuffled[sizes["test"] : sizes["test"] + sizes["val"]]}
    chosen = {name: np.sort(given.get(name, drawn[name])) for name in ("val", "test")}
    train = np.setdiff1d(rows, np.concatenate([drawn["val"], drawn["test"]]), assume_unique=True)
    if len(train) == 0:
        raise InputError(f"No row of {len(rows)} is left to train on.", "Give more rows, or smaller val and test.")
    return Splits(*(part.astype(np.int64) for part in (train, chosen["val"], chosen["test"]))), tuple(notes)


def _fold(
    count: int, options: SplitOptions, codes: np.ndarray | None, keys: np.ndarray | None
) -> tuple[Splits, tuple[str, ...]]:
    """One fold is the test part; the rest is split into train and val as usual."""
    number, folds = parse_fold(options.fold or "")
    strata = codes if options.by == "stratified" else None
    fold = fold_of_rows(count, folds, options.seed, codes=strata, keys=keys if options.by == "group" else None)
    test, rest = np.flatnonzero(fold == number - 1), np.flatnonzero(fold != number - 1)
    inner, notes = split_rows(
        len(rest),
        replace(options, fold=None, test=0.0),
        codes=None if codes is None else codes[rest],
        keys=None if keys is None else keys[rest],
    )
    return Splits(rest[inner.train], rest[inner.val], test), notes


def _check(options: SplitOptions, keys: np.ndarray | None) -> None:
    if options.by not in WAYS:
        raise InputError(f"The split is by {options.by!r}.", f"Choose one of {', '.join(WAYS)}.")
    if options.by in ("group", "time") and keys is None:
        raise InputError(
            f"A split by {options.by} needs a column of a table.", "Name it (split column), or choose another way."
        )
    for name, share in (("val", options.val), ("test", options.test)):
        if share is not None and not (0 <= share < 1 or (share >= 1 and float(share).is_integer())):
            raise InputError(
                f"The {name} part is {share} of the rows.", "Give a share from 0 to below 1, or a number of rows."
            )


def _sizes(count: int, options: SplitOptions, given: dict[str, np.ndarray]) -> dict[str, int]:
    """How many rows to draw for val and test; none where the source gives the part."""

    def size(share: float) -> int:
        return int(share) if share >= 1 else round(share * count)

    test = size(TEST_SHARE if options.test is None else options.test)
    if options.val is not None:
        val = size(options.val)
    elif "test" in given:
        val = min(size(VAL_SHARE), MOST_VAL_OF_PARTED)
    else:
        val = max(size(VAL_SHARE), min(LEAST_VAL, size(MOST_VAL_SHARE)))
    sizes = {"val": 0 if "val" in given else val, "test": 0 if "test" in given else test}
    if sum(sizes.values()) >= count:
        raise InputError(
            f"val takes {sizes['val']} and test {sizes['test']} of the {count} rows: none are left to train on.",
            "Give more rows, or smaller val and test.",
        )
    return sizes


def _stratified(
    rows: np.ndarray, codes: np.ndarray, rare: np.ndarray, sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    left = rng.permutation(rows[~np.isin(codes[rows], rare)])
    drawn = {}
    for part in ("test", "val"):
        order = np.argsort(codes[left], kind="stable")
        counts = np.bincount(codes[left]) if len(left) else np.zeros(1, np.int64)
        quotas = _largest_remainders(counts, min(sizes[part], int(np.maximum(counts - 1, 0).sum())), rng)
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
        within = np.arange(len(left)) - np.repeat(starts, counts)
        chosen = order[within < np.repeat(quotas, counts)]
        drawn[part] = left[chosen]
        left = np.delete(left, chosen)
    return drawn


def _largest_remainders(counts: np.ndarray, total: int, rng: np.random.Generator) -> np.ndarray:
    """Share ``total`` out in proportion to ``counts``, leaving every class at least one row."""
    room = np.maximum(counts - 1, 0)
    exact = counts * (total / max(1, counts.sum()))
    quotas = np.minimum(np.floor(exact).astype(np.int64), room)
    while quotas.sum() < total:
        open_classes = quotas < room
        order = np.lexsort((rng.random(len(counts)), quotas - exact))
        order = order[open_classes[order]][: total - quotas.sum()]
        quotas[order] += 1
    return quotas


def _by_time(rows: np.ndarray, keys: np.ndarray, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    ordered = rows[np.argsort(keys, kind="stable")]
    end = len(ordered) - sizes["test"]
    return {"test": ordered[end:], "val": ordered[end - sizes["val"] : end]}


def _by_group(
    rows: np.ndarray, keys: np.ndarray, sizes: dict[str, int], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Groups in random order go to test until it has its size, then to val; each wanted part gets at least one."""
    groups, members = np.unique(keys, return_inverse=True)
    wanted = [part for part in ("test", "val") if sizes[part]]
    if len(groups) <= len(wanted):
        raise InputError(
            f"There are {len(groups)} groups for {len(wanted) + 1} parts.",
            "Use another column, or give val or test as 0.",
        )
    counts, place = np.bincount(members), np.zeros(len(groups), np.int64)
    order = iter(rng.permutation(len(groups)).tolist())
    spare = len(groups) - len(wanted)
    for number, part in enumerate(wanted, 1):
        filled = 0
        while filled == 0 or (filled < sizes[part] and spare > 1):
            group = next(order)
            if filled and filled + counts[group] / 2 > sizes[part]:
                break
            spare -= filled > 0
            place[group], filled = number, filled + int(counts[group])
    drawn = {part: rows[place[members] == number] for number, part in enumerate(wanted, 1)}
    return {part: drawn.get(part, rows[:0]) for part in ("test", "val")}
