"""What `load` returns: the tensors, how raw input becomes them, and which rows serve for what."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.errors import InputError

Inputs = np.ndarray | dict[str, np.ndarray]
"""One array (images, arrays, sequences) or ``{"numbers": (N, F), "categories": (N, K)}`` (tables)."""


@dataclass(frozen=True)
class Column:
    """One column of a table, the ones left out included.

    Args:
        name: as in the file.
        kind: number, category, flag, date, text, identifier, constant, leak, target, group, time or weight.
        used: whether the network sees it.
        why: a sentence when it is left out or treated specially, "" otherwise.
        missing: how many of its cells are empty or say NA, NaN, null, None, ?, -.
        distinct: how many different values it has, missing cells not counted.
        categories: of the training part, in the order of their codes.
        summary: its values in short, "0.2 … 5.01, median 0.7" or "Ideal 40 %, Premium 26 %, …".
        form: how its text is read: "decimal comma" for numbers, the format for dates, "" otherwise.
        origin: the day that counts as 0 for dates, in days since 1970-01-01.
    """

    name: str
    kind: str
    used: bool
    why: str
    missing: int
    distinct: int
    categories: tuple[str, ...] = ()
    summary: str = ""
    form: str = ""
    origin: float = 0.0


@dataclass(frozen=True)
class Splits:
    """Disjoint int64 row indices of the three parts; a part may be empty."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


@dataclass(frozen=True)
class SplitOptions:
    """How rows are shared out.

    Args:
        val: share of the rows for validation (a count if 1 or more); None: a tenth, at least 30 rows where that
            leaves enough; a tenth and at most 5000 rows of the training part where the source has a test part.
        test: share of the rows for the final test (a count if 1 or more); None: a fifth. A source's own test part
            stays as it is.
        seed: of the permutation.
        by: "stratified" (each class in its proportion), "random", "group" (no group in two parts) or "time" (the
            latest rows in test, those before them in val).
        column: name of the group or time column.
        fold: "K/N": the test part is fold K of N of all rows, also where the source has a test part; None: no folds.
    """

    val: float | None = None
    test: float | None = None
    seed: int = 0
    by: str = "stratified"
    column: str | None = None
    fold: str | None = None


@dataclass(frozen=True)
class Rows:
    """New rows, encoded as the network was trained on.

    Args:
        X: as `Dataset.X`.
        y: as `Dataset.y` where the input carries the target, else None; a missing or unknown class is -1.
        ids: one name a row.
        id_names: what the names are: ("row",), ("file",), ("index",) or the identifier column's name.
    """

    X: Inputs
    y: np.ndarray | None
    ids: list[str]
    id_names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Schema:
    """How raw input becomes tensors: everything that prediction needs, stored as schema.json in the run folder.

    Args:
        kind: image, table, array or sequence.
        task: classification, binary, regression or multilabel.
        target: name of the target column, "label" where there is none.
        classes: names in the order of their codes; of the outputs for multilabel; () for regression.
        shape: of one sample, (C, H, W), (F,) or (T, F); () for tables.
        columns: tables only: all columns in file order.
        dtype: "uint8" for images, "float32" otherwise.
    """

    kind: str
    task: str
    target: str
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    columns: tuple[Column, ...] = ()
    dtype: str = "float32"

    def numbers(self) -> tuple[Column, ...]:
        """The columns behind ``X["numbers"]``, in its order: used numbers and dates (in days since their origin)."""
        return tuple(column for column in self.columns if column.used and column.kind in ("number", "date"))

    def categories(self) -> tuple[Column, ...]:
        """The columns behind ``X["categories"]``, in its order: used categories and flags."""
        return tuple(column for column in self.columns if column.used and column.kind in ("category", "flag"))

    def encode(self, raw: Any) -> Inputs:
        """Raw Python input as `load` would have encoded it.

        Args:
            raw: for tables a dict of columns, a list of dict rows or a pyarrow.Table; for images an array of levels
                0…255 (or floats 0…1), one or a list of PIL images; otherwise an array (N, *shape) or one sample.

        Raises:
            InputError: if columns are missing, a number cell holds text or infinity, or the shape does not fit.
        """
        from trainwell.data.encode import encode

        return encode(self, raw)

    def read(
        self,
        path: str | Path,
        *,
        skip_bad: bool = False,
        data_root: str | Path | None = None,
        progress: Callable[[str, float | None], object] | None = None,
    ) -> Rows:
        """Encode a CSV or Parquet file, image, folder of images (by class or flat), .npy, .npz, IDX or known name.

        Where the source has a test part of its own, only that part is read.

        Args:
            path: file, folder or known name.
            skip_bad: leave out damaged pictures instead of stopping.
            data_root: folder of datasets, for known names.
            progress: called as ``progress(text, fraction)`` while something lasts.
        """
        from trainwell.data.read import read

        return read(self, path, skip_bad=skip_bad, data_root=data_root, progress=progress)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        """Class indices as class names; -1 as "".

        Example:
            >>> schema = Schema("array", "classification", "label", ("cat", "dog"), (2,))
            >>> schema.decode(np.array([1, 0, -1])).tolist()
            ['dog', 'cat', '']
        """
        return np.array([*self.classes, ""], dtype=object)[np.asarray(codes)]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, indent=1)

    @staticmethod
    def from_json(text: str) -> "Schema":
        try:
            fields = json.loads(text)
            columns = tuple(Column(**{**c, "categories": tuple(c["categories"])}) for c in fields.pop("columns"))
            tuples: dict[str, Any] = {name: tuple(fields.pop(name)) for name in ("classes", "shape")}
            return Schema(**fields, **tuples, columns=columns)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InputError(
                f"schema.json does not describe data as trainwell writes it ({error}).",
                "Use the file of the run folder as it was written.",
            ) from None


@dataclass(frozen=True)
class Dataset:
    """All rows of a source, split.

    Args:
        schema: how they were encoded.
        X: image: uint8 (N, C, H, W), memory-mapped; array, sequence: float32 (N, *shape); table: {"numbers": float32
            (N, F), NaN = missing; "categories": int64 (N, K), -1 = missing or not seen in the training part}.
        y: int64 class codes, float32 (N,) or (N, T) for regression, float32 0/1 (N, T) for multilabel.
        splits: which rows train, validate and test.
        ids: one name a row.
        name: of the source.
        weights: float32 (N,) sample weights, or None.
        provenance: where it came from, how it is coded.
        notes: sentences worth telling the user: columns left out, labels mapped, files skipped.
    """

    schema: Schema
    X: Inputs
    y: np.ndarray
    splits: Splits
    ids: Sequence[str]
    name: str
    weights: np.ndarray | None = None
    provenance: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        return self.schema.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.schema.classes

    @property
    def kind(self) -> str:
        return self.schema.kind

    def __len__(self) -> int:
        return len(self.y)

    def rows(self, indices: np.ndarray) -> tuple[Inputs, np.ndarray]:
        """Copies of these rows of X and y, e.g. ``dataset.rows(dataset.splits.val)``."""
        if isinstance(self.X, dict):
            return {name: values[indices] for name, values in self.X.items()}, self.y[indices]
        return np.asarray(self.X[indices]), self.y[indices]
