"""From the cells of a table to a `Dataset`: target, kinds of columns, leaks, split, categories of the training part."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from trainwell.data.cells import FLAG_PAIRS, as_codes, as_numbers, as_text, days_of, tidy
from trainwell.data.columns import Found, infer, naturally, uninferred
from trainwell.data.dataset import Column, Dataset, Schema, SplitOptions
from trainwell.data.encode import encode_table
from trainwell.data.fitted import fitted
from trainwell.data.leaks import is_function_of, spells_out
from trainwell.data.source import Numbered
from trainwell.data.split import split_rows
from trainwell.data.table import Cells
from trainwell.data.target import Target, from_codes, from_labels, from_numbers
from trainwell.errors import InputError
from trainwell.nearest_name import nearest


@dataclass(frozen=True)
class TableOptions:
    """What the user asks of a table: see `trainwell.data.load`."""

    target: str | None = None
    task: str | None = None
    keep: Sequence[str] = ()
    drop: Sequence[str] = ()
    weight: str | None = None


def tabulate(
    read: Cells,
    name: str,
    options: TableOptions,
    split: SplitOptions,
    *,
    parts: dict[str, tuple[int, int]] | None = None,
    provenance: dict[str, str] | None = None,
) -> Dataset:
    """Understand a table.

    Args:
        read: its cells.
        name: of the dataset.
        options: target, task, columns to keep, drop or weigh by.
        split: how to share out the rows.
        parts: the source's own parts, ranges of rows.
        provenance: where it came from.
    """
    targets = _targets(read.table.column_names, name, options.target)
    _check_names(read.table.column_names, name, options, split)
    labelled, notes = _with_target(read.table, targets, name)
    if parts:
        before = np.concatenate([[0], np.cumsum(labelled)])
        parts = {part: (int(before[start]), int(before[stop])) for part, (start, stop) in parts.items()}
    rows = np.flatnonzero(labelled)
    plain = ({*options.drop} | ({split.column} if split.by == "group" else set())) - {*targets, *options.keep}
    kept = _inferred(read.table, plain, read.delimiter)
    table = read.table
    if len(rows) < len(labelled):
        table = read.table.take(_index(rows))
        kept = _inferred(table, plain, read.delimiter)
    by_name = {one.column.name: one for one in kept}
    target = _understand(targets, by_name, options.task)
    columns = [_role(one, targets, options, split) for one in kept]
    columns = _without_leaks(columns, by_name, target, targets[0], options.keep)
    columns = _at_least_one(columns, by_name, name)
    strata = target.y if target.task in ("classification", "binary") else None
    keys = _keys(by_name[split.column], split.by) if split.column else None
    splits, split_notes = split_rows(len(rows), split, codes=strata, keys=keys, parts=parts)
    columns = [fitted(column, by_name[column.name], splits.train) for column in columns]
    schema = Schema("table", target.task, ",".join(targets), target.classes, (), tuple(columns))
    X = encode_table(schema, table)
    _check_varies(X, splits.train, name)
    identifier = next((c for c in columns if c.kind == "identifier" and not c.missing), None)
    ids = as_text(by_name[identifier.name].cells).to_pylist() if identifier else [str(row + 1) for row in rows]
    return Dataset(
        schema=schema,
        X=X,
        y=target.y,
        splits=splits,
        ids=ids if identifier or len(rows) < len(labelled) else Numbered(len(rows), 1),
        name=name,
        weights=_weights(by_name[options.weight]) if options.weight else None,
        provenance=provenance or {},
        notes=(*read.notes, *notes, *target.notes, *(column.why for column in columns if column.why), *split_notes),
    )


def target_names(names: list[str], target: str) -> tuple[str, ...]:
    """The target column, or several separated by commas; () where one of them is not there."""
    if target in names:
        return (target,)
    several = tuple(part.strip() for part in target.split(","))
    return several if all(part in names for part in several) else ()


def _targets(names: list[str], path: str, target: str | None) -> tuple[str, ...]:
    if target is None:
        raise InputError(f"{path} is a table, and no target is named.", f"Name one of its columns: {', '.join(names)}.")
    if found := target_names(names, target):
        return found
    wrong = next((part.strip() for part in target.split(",") if part.strip() not in names), target)
    raise InputError(f"{path} has no column {wrong!r}.", nearest(wrong, names, f"Its columns are {', '.join(names)}."))


def _check_names(names: list[str], path: str, options: TableOptions, split: SplitOptions) -> None:
    roles = (("weight", [options.weight]), ("split", [split.column]), ("keep", options.keep), ("drop", options.drop))
    for role, asked in roles:
        for name in asked:
            if name is not None and name not in names:
                hint = nearest(name, names, f"Its columns are {', '.join(names)}.")
                raise InputError(f"{path} has no column {name!r} ({role}).", hint)
    if both := sorted(set(options.keep) & set(options.drop)):
        raise InputError(f"Column {both[0]!r} is to be kept and dropped.", "Name it once.")


def _with_target(table: Any, targets: tuple[str, ...], path: str) -> tuple[np.ndarray, list[str]]:
    """Which rows have a target, and a note on the others."""
    import pyarrow.compute as pc

    labelled = np.ones(table.num_rows, bool)
    for name in targets:
        labelled &= pc.is_valid(tidy(table[name])).to_numpy(zero_copy_only=False)
    lost = int((~labelled).sum())
    if lost == len(labelled):
        raise InputError(f"The target {', '.join(targets)!r} of {path} is empty.", "Choose a column with values.")
    rows = "1 row has" if lost == 1 else f"{lost} rows have"
    return labelled, [f"{rows} no {', '.join(targets)} and {'is' if lost == 1 else 'are'} left out."] if lost else []


def _inferred(table: Any, plain: set[str | None], delimiter: str) -> list[Found]:
    """What each column is; those in ``plain`` may hold anything. Rows in messages are those of this table."""
    return [(uninferred if name in plain else infer)(name, table[name], delimiter) for name in table.column_names]


def _index(rows: np.ndarray) -> Any:
    import pyarrow as pa

    return pa.array(rows)


def _understand(targets: tuple[str, ...], by_name: dict[str, Found], task: str | None) -> Target:
    if len(targets) > 1:
        return _several(targets, by_name, task)
    name, found = targets[0], by_name[targets[0]]
    if found.column.kind == "date" and found.values is None:
        raise InputError(f"The target {name!r} holds dates.", "Turn them into numbers, such as days from a fixed date.")
    if found.values is not None:
        return from_numbers(found.values, name, task)
    import pyarrow as pa
    import pyarrow.compute as pc

    coded = pc.dictionary_encode(as_text(found.cells))
    words = coded.dictionary.to_pylist()
    if not words or pa.types.is_null(coded.type):
        raise InputError(f"The target {name!r} is empty.", "Choose a column with values.")
    meaning = {word: i for pair in FLAG_PAIRS for i, word in enumerate(pair)}
    order = sorted(words, key=lambda word: (meaning[word.lower()], word) if found.column.kind == "flag" else (0, word))
    place = np.array([order.index(word) for word in words] if len(words) < 100 else np.argsort(np.argsort(words)))
    return from_codes(place[coded.indices.to_numpy(zero_copy_only=False)], tuple(order), name, task)


def _several(targets: tuple[str, ...], by_name: dict[str, Found], task: str | None) -> Target:
    """Several target columns: flags are labels of which each may hold, numbers quantities."""
    columns = [by_name[name] for name in targets]
    values = []
    for found in columns:
        if found.values is None and found.column.kind != "flag":
            raise InputError(
                f"The target {found.column.name!r} holds no numbers.", "Several targets must be numbers or flags."
            )
        values.append(found.values if found.values is not None else _flag_values(found))
    flags = all(found.column.kind == "flag" for found in columns)
    task = task or ("multilabel" if flags else "regression")
    if task not in ("multilabel", "regression"):
        raise InputError(
            f"Several targets are no {task}.", "Use task=multilabel or task=regression, or name one column."
        )
    target = from_labels(np.stack(values, axis=1), ",".join(targets), task)
    return replace(target, classes=targets if target.task == "multilabel" else ())


def _flag_values(found: Found) -> np.ndarray:
    return as_codes(found.cells, found.column).astype(np.float64)


def _role(found: Found, targets: tuple[str, ...], options: TableOptions, split: SplitOptions) -> Column:
    column = found.column
    if column.name in targets:
        return replace(column, kind="target", used=False, why="")
    if column.name == options.weight:
        return replace(column, kind="weight", used=False, why=f"{column.name} weighs the rows.")
    if column.name in options.keep:
        return naturally(found)
    if column.name == split.column and split.by in ("group", "time"):
        return replace(column, kind=split.by, used=False, why=f"{column.name} serves the split by {split.by} only.")
    if column.name in options.drop:
        return replace(column, used=False, why=f"{column.name} is left out on request.")
    return column


def _without_leaks(
    columns: list[Column], by_name: dict[str, Found], target: Target, name: str, keep: Sequence[str]
) -> list[Column]:
    """Leave out what spells the target out, unless it is kept on request or nothing else is left."""
    if target.y.ndim > 1:
        return columns
    result = []
    for column in columns:
        if column.used and column.kind != "date" and _leaks(by_name[column.name], column, target):
            reason = f"it determines {name} one-to-one, as if it were the answer"
            if column.name in keep:
                column = replace(column, why=f"{column.name} is kept on request, though {reason}.")
            else:
                why = f"{column.name} is left out: {reason} (--keep {column.name} uses it)."
                column = replace(column, kind="leak", used=False, why=why)
        result.append(column)
    return result


def _leaks(found: Found, column: Column, target: Target) -> bool:
    import pyarrow.compute as pc

    if target.task == "regression":
        return found.values is not None and is_function_of(found.values, target.y.astype(np.float64))
    if found.values is not None:
        return spells_out(found.values, target.y)
    if column.distinct != len(target.classes):
        return False
    codes = pc.fill_null(pc.dictionary_encode(as_text(found.cells)).indices, -1)
    return spells_out(codes.to_numpy(zero_copy_only=False), target.y)


def _at_least_one(columns: list[Column], by_name: dict[str, Found], path: str) -> list[Column]:
    """If nothing else is left, row numbers and leaks are features after all."""
    if any(column.used for column in columns):
        return columns
    for kind in ("identifier", "leak"):
        spare = [column for column in columns if column.kind == kind and by_name[column.name].values is not None]
        spare = spare or [column for column in columns if column.kind == kind == "leak"]
        if spare:
            kept = {column.name for column in spare}
            why = "it numbers the rows" if kind == "identifier" else "it determines the target one-to-one"
            return [
                replace(
                    naturally(Found(c, None, by_name[c.name].values)),
                    why=f"{c.name} is used though {why}: nothing else is left.",
                )
                if c.name in kept
                else c
                for c in columns
            ]
    reasons = " ".join(column.why for column in columns if column.why)
    raise InputError(f"{path} has no features besides the target. {reasons}".strip(), "Give columns that vary.")


def _keys(found: Found, by: str) -> np.ndarray:
    """Integers that tell groups apart, or that rank rows in time."""
    import pyarrow.compute as pc

    column, cells = found.column, found.cells
    if cells.null_count and by == "time":
        row = int(np.flatnonzero(pc.is_null(cells).to_numpy(zero_copy_only=False))[0])
        raise InputError(
            f"The time column {column.name!r} is empty in row {row + 1}.", "Fill it in, or remove the row."
        )
    if by == "time":
        if found.values is not None:
            return np.unique(found.values, return_inverse=True)[1]
        days = days_of(cells, column.form) if column.form else None
        if days is None:
            raise InputError(f"Column {column.name!r} holds neither dates nor numbers.", "Write dates as 2024-03-01.")
        return np.unique(days, return_inverse=True)[1]
    codes = pc.fill_null(pc.dictionary_encode(as_text(cells)).indices, -1)
    return np.unique(codes.to_numpy(zero_copy_only=False), return_inverse=True)[1]


def _weights(found: Found) -> np.ndarray:
    name = found.column.name
    values = found.values if found.values is not None else as_numbers(found.cells, name)
    bad = ~(values >= 0)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"The weight {name!r} is {values[row]:g} in row {row + 1}.", "Give weights of 0 or more in every row."
        )
    if values.max() == 0:
        raise InputError(f"The weights {name!r} are all 0.", "Give at least one positive weight.")
    return values.astype(np.float32)


def _check_varies(X: dict[str, np.ndarray], train: np.ndarray, path: str) -> None:
    for values in X.values():
        part = values[train]
        if values.shape[1] and not bool(((part == part[:1]) | (np.isnan(part) & np.isnan(part[:1]))).all()):
            return
    raise InputError(f"All features of {path} are constant in the training part.", "Give columns that vary.")
