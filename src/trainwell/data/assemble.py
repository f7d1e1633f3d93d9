"""From decoded images or arrays to a `Dataset`: labels coded, rows split."""

from dataclasses import replace
from typing import Any

import numpy as np

from trainwell.data.arrays import as_source
from trainwell.data.dataset import Dataset, Schema, SplitOptions
from trainwell.data.source import Source
from trainwell.data.split import split_rows
from trainwell.data.target import from_labels
from trainwell.errors import InputError


def assemble(
    source: Source, name: str, *, target: str = "label", task: str | None = None, split: SplitOptions | None = None
) -> Dataset:
    """Code the labels of a source and split its rows.

    Args:
        source: what a reader found.
        name: of the dataset.
        target: name of what is learned, for messages.
        task: what the user says it is; None: guessed from the labels.
        split: how to share out the rows; the source's own parts stay.
    """
    if source.labels is None:
        raise InputError(
            f"{name} has no labels to learn from.",
            "Give one subfolder a class for pictures, y beside X for arrays, or a label file beside the pictures.",
        )
    split, source = split or SplitOptions(), _labelled(source)
    if split.by in ("group", "time"):
        raise InputError(
            f"A split by {split.by} needs a column of a table; {name} is no table.", "Split it stratified or random."
        )
    labels = np.asarray(source.labels)
    names = source.names or (_numbered(labels) if source.kind == "image" else ())
    coded = from_labels(labels, target, task, names)
    strata = coded.y if coded.task in ("classification", "binary") else None
    splits, notes = split_rows(len(coded.y), split, codes=strata, parts=source.parts)
    if isinstance(source.X, np.ndarray) and source.kind != "image":
        _check_varies(source.X[splits.train], name)
    dtype = "uint8" if source.kind == "image" else "float32"
    return Dataset(
        schema=Schema(source.kind, coded.task, target, coded.classes, tuple(source.X.shape[1:]), dtype=dtype),
        X=source.X,
        y=coded.y,
        splits=splits,
        ids=source.ids,
        name=name,
        provenance=source.provenance,
        notes=(*source.notes, *coded.notes, *notes),
    )


def _labelled(source: Source) -> Source:
    """Without a test part whose labels are all -1, as published for competitions."""
    labels = np.asarray(source.labels)
    start, stop = source.parts.get("test", (0, 0))
    if (
        not source.names
        or labels.dtype.kind not in "iu"
        or start == stop
        or stop < len(labels)
        or labels[start:].max() >= 0
    ):
        return source
    parts = {name: rows for name, rows in source.parts.items() if name != "test"}
    notes = (*source.notes, "The test part has no labels and is not used.")
    shorter: dict[str, Any] = {"X": source.X[:start], "labels": labels[:start], "ids": source.ids[:start]}
    return replace(source, **shorter, parts=parts if len(parts) > 1 else {}, notes=notes)


def from_arrays(
    X: np.ndarray,
    y: np.ndarray,
    *,
    name: str = "arrays",
    task: str | None = None,
    split: SplitOptions | None = None,
) -> Dataset:
    """A dataset from arrays in memory, understood as an .npz of them would be.

    Args:
        X: (N, F), (N, T, F), (N, C, H, W) or (N, H, W).
        y: (N,) labels or numbers, or (N, T).
        name: of the dataset.
        task: classification, binary, regression or multilabel; None: guessed from y.
        split: how to share out the rows.
    """
    return assemble(as_source(X, np.asarray(y), name), name, target="y", task=task, split=split)


def _check_varies(X: np.ndarray, name: str) -> None:
    if bool((X[:1] == X).all()):
        raise InputError(f"All features of {name} are constant in the training part.", "Give features that vary.")


def _numbered(labels: np.ndarray) -> tuple[str, ...]:
    """The names "0", "1", … where the integer labels of pictures are 0 … k-1 without a gap."""
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        return ()
    found = np.unique(labels)
    contiguous = len(found) > 1 and found[0] == 0 and found[-1] == len(found) - 1
    return tuple(str(label) for label in found) if contiguous else ()
