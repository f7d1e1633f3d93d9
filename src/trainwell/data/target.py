"""What is to be learned: labels become class codes 0 … k-1, or float32 numbers, and the task follows from them."""

from dataclasses import dataclass

import numpy as np

from trainwell.errors import InputError

TASKS = ("classification", "binary", "regression", "multilabel")
MOST_INTEGER_CLASSES = 20
LEAST_ROWS_A_CLASS = 5
"""Integers are taken for classes if there are at most 20 of them, with at least 5 rows each on average."""


@dataclass(frozen=True)
class Target:
    """The target of all rows: y as in `Dataset`, its task, its classes, and what the user should know."""

    y: np.ndarray
    task: str
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


def check_task(task: str | None) -> None:
    """Refuse a task that there is not."""
    if task is not None and task not in TASKS:
        raise InputError(f"task is {task!r}.", f"Choose one of {', '.join(TASKS)}, or leave it out.")


def from_labels(labels: np.ndarray, name: str, task: str | None = None, names: tuple[str, ...] = ()) -> Target:
    """Understand labels as found: texts, numbers or a matrix of them, none missing.

    Args:
        labels: (N,) texts or numbers, or (N, T) numbers.
        name: of the target, for messages.
        task: what the user says it is; None: guessed.
        names: class names that integer labels index.
    """
    check_task(task)
    if len(labels) == 0:
        raise InputError(f"The target {name!r} is empty.", "Give rows whose target is known.")
    if labels.ndim > 2:
        raise InputError(
            f"The target {name!r} has shape {labels.shape}.", "Give one label, or one row of numbers, a sample."
        )
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "b":
        labels = labels.astype(np.int64)
    if labels.dtype.kind not in "iufUS":
        raise InputError(f"The target {name!r} has dtype {labels.dtype}.", "Give numbers or texts.")
    if labels.ndim == 2:
        return _matrix(labels, name, task)
    if labels.dtype.kind in "US":
        found, codes = np.unique(
            np.char.decode(labels, "utf-8") if labels.dtype.kind == "S" else labels, return_inverse=True
        )
        return from_codes(codes, tuple(found.tolist()), name, task)
    return from_numbers(labels, name, task, names)


def from_codes(codes: np.ndarray, classes: tuple[str, ...], name: str, task: str | None) -> Target:
    """Texts that are coded already; a bijection onto ``classes``, whose order stays."""
    if task in ("regression", "multilabel"):
        raise InputError(
            f"The target {name!r} holds texts such as {classes[0]!r}: no {task}.", "Use task=classification."
        )
    if len(classes) > 20 and len(codes) < 2 * len(classes):
        raise InputError(
            f"The target {name!r} has {len(classes)} different texts in {len(codes)} rows: too few of each.",
            "Choose another target, or merge rare classes.",
        )
    task = _checked(len(classes), name, task, classes[0])
    pairs = [f"{label} = {code}" for code, label in enumerate(classes)]
    shown = ", ".join(pairs if len(pairs) <= 10 else [*pairs[:4], "…", pairs[-1]])
    return Target(codes.astype(np.int64), task, classes, (f"Classes of {name}: {shown}.",))


def from_numbers(values: np.ndarray, name: str, task: str | None, names: tuple[str, ...] = ()) -> Target:
    """Numbers as classes or as quantities."""
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise InputError(f"The target {name!r} is {values[row]} at row {row + 1}.", "Correct it, or remove the row.")
    found, codes = np.unique(values, return_inverse=True)
    whole = bool((found == np.rint(found)).all())
    few = whole and len(found) <= MOST_INTEGER_CLASSES and len(values) >= LEAST_ROWS_A_CLASS * len(found)
    few = few or (bool(names) and whole)
    if task == "multilabel":
        raise InputError(
            f"The target {name!r} is one column: no multilabel.", "Name several columns, or leave task out."
        )
    if task == "regression" or (task is None and len(found) > 2 and not few):
        if len(found) == 1:
            raise InputError(f"The target {name!r} is {found[0]:g} in every row.", "Choose a target that varies.")
        note = f"{name} is taken for a quantity (regression)." if whole and task is None and len(found) <= 50 else ""
        return Target(values.astype(np.float32), "regression", (), (note,) if note else ())
    if not whole and len(found) > 20 and len(values) < 2 * len(found):
        raise InputError(f"The target {name!r} has {len(found)} different numbers: no classes.", "Use task=regression.")
    if names and whole and (found[0] < 0 or found[-1] >= len(names)):
        wrong = found[0] if found[0] < 0 else found[-1]
        row = int(np.flatnonzero(values == wrong)[0])
        raise InputError(
            f"The target {name!r} is {wrong:g} in row {row + 1}, but there are {len(names)} classes.",
            f"Give labels from 0 to {len(names) - 1}, or remove such rows.",
        )
    first = names[int(found[0])] if names and whole and 0 <= found[0] < len(names) else f"{found[0]:g}"
    task_found = _checked(len(found), name, task, first)
    if names and whole and found[0] >= 0 and found[-1] < len(names):
        return Target(values.astype(np.int64), "binary" if len(names) == 2 else "classification", names)
    classes = tuple(str(int(value)) if whole else repr(float(value)) for value in found)
    notes = []
    if not (whole and found[0] == 0 and found[-1] == len(found) - 1):
        if whole and found[-1] - found[0] == len(found) - 1:
            spelled = f"{classes[0]} … {classes[-1]} are" if len(classes) > 2 else f"{classes[0]} and {classes[1]} are"
        else:
            spelled = (
                ", ".join(classes) if len(classes) <= 10 else f"{classes[0]}, {classes[1]}, …, {classes[-1]}"
            ) + " are"
        notes.append(f"The labels {spelled} the classes 0 … {len(classes) - 1} of {name}.")
    if task is None and len(found) > 2 and not names:
        notes.append(
            f"The {len(found)} integers of {name} are taken for classes; task=regression takes them for a quantity."
        )
    return Target(codes.astype(np.int64), task_found, classes, tuple(notes))


def _matrix(labels: np.ndarray, name: str, task: str | None) -> Target:
    if labels.dtype.kind not in "iuf":
        raise InputError(f"The target {name!r} is a matrix of texts.", "Give several numbers a row, or one text.")
    if not np.isfinite(labels).all():
        row, column = np.argwhere(~np.isfinite(labels))[0]
        raise InputError(
            f"The target {name!r} is {labels[row, column]} at row {row + 1}, column {column + 1}.", "Correct it."
        )
    zero_one = bool(np.isin(labels, (0, 1)).all())
    if zero_one and task in (None, "classification", "binary") and bool((labels.sum(1) == 1).all()):
        coded = from_numbers(labels.argmax(1), name, task)
        if len(coded.classes) == labels.shape[1]:
            return Target(
                coded.y, coded.task, coded.classes, (f"The one-hot rows of {name} are read as classes.", *coded.notes)
            )
    if task in ("classification", "binary"):
        raise InputError(
            f"The target {name!r} has {labels.shape[1]} columns that are not one-hot.", "Use another task."
        )
    if task == "multilabel" and not zero_one:
        raise InputError(
            f"The target {name!r} holds other numbers than 0 and 1: no multilabel.", "Use task=regression."
        )
    if zero_one and task != "regression":
        return Target(labels.astype(np.float32), "multilabel", tuple(str(i) for i in range(labels.shape[1])))
    return Target(labels.astype(np.float32), "regression", ())


def _checked(count: int, name: str, task: str | None, first: str) -> str:
    if count == 1:
        raise InputError(f"The target {name!r} has only one class, {first!r}.", "Give rows of at least two classes.")
    if task == "binary" and count != 2:
        raise InputError(
            f"The target {name!r} has {count} classes: not binary.", "Use task=classification, or leave task out."
        )
    return task or ("binary" if count == 2 else "classification")
