"""New rows from a file, folder or known name, encoded as the network was trained on."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trainwell.data.cells import FLAG_PAIRS, as_codes, as_numbers, as_text, tidy
from trainwell.data.dataset import Column, Rows
from trainwell.data.encode import encode_arrays, encode_images, encode_table
from trainwell.data.locate import locate
from trainwell.data.readers import read_cells, read_source
from trainwell.data.source import Progress
from trainwell.data.table import Cells
from trainwell.data.tabular import target_names
from trainwell.errors import InputError

if TYPE_CHECKING:
    from trainwell.data.dataset import Schema


def read(
    schema: "Schema",
    path: str | Path,
    *,
    skip_bad: bool = False,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Rows:
    """See `Schema.read`."""
    place = locate(path, data_root, progress)
    if (place.form == "table") != (schema.kind == "table"):
        raise InputError(
            f"{path} is {'a' if place.form == 'table' else 'no'} table; the network was trained on {schema.kind} data.",
            "Give data like those that it was trained on.",
        )
    if schema.kind == "table":
        return table_rows(schema, read_cells(place, test_only=True)[0])
    pictures = schema.shape if schema.kind == "image" else None
    target = schema.target if place.form == "arrays" and schema.target not in ("label", "y") else None
    source = read_source(place, target=target, shape=pictures, skip_bad=skip_bad, progress=progress)
    rows = slice(*source.parts["test"]) if "test" in source.parts else slice(None)
    X, labels = source.X[rows], None if source.labels is None else np.asarray(source.labels[rows])
    X = _pictures(X, schema.shape) if schema.kind == "image" else encode_arrays(schema.shape, X)
    y = None if labels is None else label_codes(schema, labels, source.names)
    ids = list(source.ids[rows])
    return Rows(X, y, ids, (source.id_name,))


def table_rows(schema: "Schema", cells: Cells) -> Rows:
    """Encode a table; its ids are those of the identifier column, else the rows' numbers from 1."""
    table = cells.table
    X = encode_table(schema, table)
    identifier = next(
        (c.name for c in schema.columns if c.kind == "identifier" and not c.missing and c.name in table.column_names),
        None,
    )
    if identifier is None:
        ids = [str(row + 1) for row in range(table.num_rows)]
    else:
        ids = [text or "" for text in as_text(tidy(table[identifier])).to_pylist()]
    names = target_names(table.column_names, schema.target)
    y = None if not names else _target(schema, [(name, tidy(table[name])) for name in names])
    return Rows(X, y, ids, (identifier or "row",))


def label_codes(schema: "Schema", labels: np.ndarray, names: tuple[str, ...] = ()) -> np.ndarray:
    """Labels as found, in the codes or numbers of the schema; -1 for a class that it does not know.

    Args:
        schema: of the network.
        labels: (N,) or (N, T) as a reader found them.
        names: class names that integer labels index.
    """
    if schema.task in ("regression", "multilabel"):
        if labels.dtype.kind not in "buif":
            raise InputError(f"The target {schema.target!r} holds texts.", f"Give numbers: the task is {schema.task}.")
        return labels.astype(np.float32)
    if labels.ndim == 2:
        labels = labels.argmax(1) if labels.shape[1] > 1 else labels[:, 0]
    if labels.dtype.kind in "biu" and names:
        texts = np.array([*names, ""])[np.where((labels >= 0) & (labels < len(names)), labels, -1)]
        if not set(names) & set(schema.classes):
            texts = labels.astype(str)
    elif labels.dtype.kind in "biuf" and (values := _class_values(schema.classes)) is not None:
        return _nearest_codes(labels.astype(np.float64), values)
    else:
        texts = labels.astype(str)
    order = np.argsort(schema.classes)
    known = np.array(schema.classes)[order]
    place = np.searchsorted(known, texts).clip(0, len(known) - 1)
    codes = np.where(known[place] == texts, order[place], -1).astype(np.int64)
    if (codes < 0).all() and labels.dtype.kind in "iu" and labels.min() >= 0 and labels.max() < len(schema.classes):
        return labels.astype(np.int64)
    return codes


def _target(schema: "Schema", columns: list[tuple[str, Any]]) -> np.ndarray | None:
    """y of the rows: -1 (or NaN) where the target is missing, None where it is missing everywhere."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if all(cells.null_count == len(cells) for _, cells in columns):
        return None
    described = {column.name: column for column in schema.columns}
    if schema.task in ("regression", "multilabel"):
        y = np.stack([_numbers(cells, described.get(name)) for name, cells in columns], axis=1).astype(np.float32)
        return y if len(columns) > 1 else y[:, 0]
    cells = columns[0][1]
    if (values := _class_values(schema.classes)) is not None:
        return _nearest_codes(as_numbers(cells, columns[0][0]), values)
    texts = pc.fill_null(as_text(cells), "")
    codes = pc.index_in(texts, value_set=pa.array(schema.classes))
    if codes.null_count == len(codes):
        pair = next((pair for pair in FLAG_PAIRS if {c.lower() for c in schema.classes} == set(pair)), None)
        if pair:
            codes = pc.index_in(pc.utf8_lower(texts), value_set=pa.array(pair))
    return pc.fill_null(codes, -1).to_numpy(zero_copy_only=False).astype(np.int64)


def _numbers(cells: Any, column: Column | None) -> np.ndarray:
    name, form = (column.name, column.form) if column else ("target", "")
    try:
        return as_numbers(cells, name, form)
    except InputError:
        codes = as_codes(cells, Column(name, "flag", False, "", 0, 2))
        if (codes < 0).any():
            raise
        return codes.astype(np.float64)


def _class_values(classes: tuple[str, ...]) -> np.ndarray | None:
    """The numbers that name the classes, None if they are texts (such as 007)."""
    try:
        values = np.array([float(name) for name in classes])
    except ValueError:
        return None
    spelled = tuple(str(int(v)) if v == np.rint(v) else repr(float(v)) for v in values if np.isfinite(v))
    return values if spelled == classes else None


def _nearest_codes(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The class of each number, -1 where it is none of the values."""
    order = np.argsort(values)
    place = np.searchsorted(values[order], numbers).clip(0, len(values) - 1)
    return np.where(values[order][place] == numbers, order[place], -1).astype(np.int64)


def _pictures(X: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Decoded pictures in this shape, whatever size and channels they have."""
    if X.shape[1:] == shape and X.dtype == np.uint8:
        return X
    if X.dtype != np.uint8 or X.ndim != 4:
        return encode_images(shape, X)
    from PIL import Image

    frames = [Image.fromarray(x[0] if len(x) == 1 else np.ascontiguousarray(x.transpose(1, 2, 0))) for x in X]
    return encode_images(shape, frames)
