"""Parquet files of pictures: a column of encoded files ({bytes, path} or bytes) and a column of labels."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.data.cache import Store, decoded
from trainwell.data.pictures import BadPicture, common_shape, decoding, height_and_width, levels, look, opened
from trainwell.data.source import Progress, Source
from trainwell.errors import InputError
from trainwell.nearest_name import nearest

LABEL_NAMES = ("label", "labels", "fine_label", "class", "target", "y")
ROWS_AT_ONCE = 1000
PARTS = (("test", r"(^|[-_.])test([-_.]|$)"), ("val", r"(^|[-_.])(val|valid|validation|dev)([-_.]|$)"))


def picture_column(path: Path) -> str | None:
    """The column of encoded pictures in this Parquet file, None if there is none."""
    import pyarrow as pa

    schema = parquet_file(path).schema_arrow
    for field in schema:
        if pa.types.is_struct(field.type) and field.type.get_field_index("bytes") >= 0:
            return field.name
        if (pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)) and re.match(
            "im(age|g)", field.name
        ):
            return field.name
    return None


def is_complete(path: Path) -> bool:
    """Whether this Parquet file can be opened; one that was cut short has lost the directory at its end."""
    try:
        parquet_file(path)
    except InputError:
        return False
    return True


def parquet_file(path: Path) -> Any:
    """An open pyarrow ParquetFile; an InputError if it is damaged."""
    import pyarrow as pa
    import pyarrow.parquet

    try:
        return pyarrow.parquet.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(
            f"{path} is no complete Parquet file ({error}).",
            "Get the file again; of several in a folder, --skip-bad leaves it out.",
        ) from None


def part_of(path: Path) -> str:
    """The part that a file's name speaks of, "train" if of none."""
    return next((part for part, pattern in PARTS if re.search(pattern, path.stem.lower())), "train")


def read_parquet_images(
    files: list[Path],
    *,
    target: str | None = None,
    image_size: int | Sequence[int] | None = None,
    shape: tuple[int, ...] | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Decode all pictures of these files, the parts by the files' names, one row group at a time.

    Args:
        files: Parquet files with the same columns.
        target: name of the label column; None: label, labels, fine_label, class, target or y.
        image_size: side, or height and width, of all pictures.
        shape: (C, H, W) that the pictures must get, when the network is given.
        skip_bad: leave out damaged pictures instead of stopping.
        progress: told how far it is.
    """
    order = {"train": 0, "val": 1, "test": 2}
    files = sorted(files, key=lambda path: (order[part_of(path)], path.name))
    size = height_and_width(image_size)
    options = {"format": "parquet", "target": target, "size": size, "shape": shape, "skip_bad": skip_bad}
    decoder = _Decoder(files, target, size, shape, skip_bad, progress)
    arrays, meta = decoded(files, options, decoder)
    labels = np.array(arrays["y"]) if "y" in arrays else None
    if labels is not None and labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8")
    return Source(
        kind="image",
        X=arrays["X"],
        labels=labels,
        names=tuple(meta["names"]),
        parts={name: (start, stop) for name, (start, stop) in meta["parts"].items()} if len(meta["parts"]) > 1 else {},
        ids=meta["ids"],
        id_name="file",
        notes=tuple(meta["notes"]),
        provenance={"format": "Parquet", "coding": meta["coding"], "files": ", ".join(file.name for file in files)},
    )


class _Decoder:
    """Reads the files twice: the headers of all pictures for the common shape, then the pictures."""

    def __init__(
        self,
        files: list[Path],
        target: str | None,
        image_size: tuple[int, int] | None,
        shape: tuple[int, ...] | None,
        skip_bad: bool,
        progress: Progress | None,
    ) -> None:
        self.files, self.image_size, self.shape, self.skip_bad = files, image_size, shape, skip_bad
        self.target, self.progress = target, progress

    def __call__(self, store: Store) -> dict[str, Any]:
        self.pictures = picture_column(self.files[0]) or ""
        self.labels = self._label_column()
        self.total = sum(parquet_file(path).metadata.num_rows for path in self.files)
        self.skipped: list[str] = []
        self.formats: dict[str, int] = {}
        with decoding():
            shape, note = (self.shape, "") if self.shape else common_shape(self._looks(), self.image_size)
            self.skipped.clear()
            ids, folders, labels, parts = self._decode(store, shape)
        notes = [note] if note else []
        if self.skipped:
            notes.append(f"Damaged pictures left out: {len(self.skipped)} (first {self.skipped[0]}).")
        if labels is not None:
            store.append("y", labels)
        main = max(self.formats, key=lambda name: self.formats[name], default="")
        coding = f"{main} (lossy: moments differ a little from an original's)" if main in ("JPEG", "WEBP") else main
        names = self._names(labels, folders)
        return {"names": names, "parts": parts, "ids": ids, "notes": notes, "coding": coding}

    def _label_column(self) -> str | None:
        names = parquet_file(self.files[0]).schema_arrow.names
        if self.target is not None and self.target not in names:
            raise InputError(
                f"{self.files[0]} has no column {self.target!r}.",
                nearest(self.target, names, f"It has {', '.join(names)}."),
            )
        return self.target or next((name for name in LABEL_NAMES if name in names), None)

    def _batches(self, text: str) -> Iterator[tuple[Path, int, list[dict | bytes | None], Any]]:
        """(file, first row, encoded pictures, labels) of each batch; Arrow's memory is given back as it goes."""
        import pyarrow as pa

        columns, done = [self.pictures, *([self.labels] if self.labels else [])], 0
        for path in self.files:
            start = 0
            try:
                for batch in parquet_file(path).iter_batches(ROWS_AT_ONCE, columns=columns):
                    if self.progress:
                        self.progress(text, done / self.total)
                    labels = batch.column(self.labels) if self.labels else None
                    yield path, start, batch.column(self.pictures).to_pylist(), labels
                    start, done = start + batch.num_rows, done + batch.num_rows
                    del batch, labels
            except (pa.ArrowException, KeyError) as error:
                raise InputError(
                    f"{path} cannot be read at row {start + 1} ({error}).", "Get the file again."
                ) from None
            pa.default_memory_pool().release_unused()

    def _bad(self, path: Path, row: int, name: str, error: BadPicture) -> None:
        place = f"row {row + 1}{f' ({name})' if name else ''} of {path}"
        if not self.skip_bad:
            raise InputError(
                f"The picture in {place} is bad: {error}.", "Repair it, or leave such out with --skip-bad."
            )
        self.skipped.append(place)

    def _looks(self) -> Iterator[tuple[int, int, bool]]:
        for path, start, cells, _ in self._batches("looking at the pictures"):
            for row, cell in enumerate(cells, start):
                data, name = _content(cell)
                try:
                    with opened(data) as image:
                        yield look(image)
                except BadPicture as error:
                    self._bad(path, row, name, error)
        if len(self.skipped) == self.total:
            raise InputError(
                f"None of the {self.total} pictures of {self.files[0]} can be decoded.", "Get the file again."
            )

    def _decode(
        self, store: Store, shape: tuple[int, ...]
    ) -> tuple[list[str], list[str], np.ndarray | None, dict[str, list[int]]]:
        ids: list[str] = []
        folders: list[str] = []
        labels: list[np.ndarray] = []
        parts: dict[str, list[int]] = {}
        for path, start, cells, batch_labels in self._batches("decoding pictures"):
            rows = np.empty((len(cells), *shape), np.uint8)
            kept: list[int] = []
            for row, cell in enumerate(cells):
                data, name = _content(cell)
                try:
                    with opened(data) as image:
                        self.formats[image.format or ""] = self.formats.get(image.format or "", 0) + 1
                        rows[len(kept)] = levels(image, shape)
                except BadPicture as error:
                    self._bad(path, start + row, name, error)
                    continue
                kept.append(row)
                ids.append(name or f"{path.name}:{start + row + 1}")
                folders.append(name.rpartition("/")[0].rpartition("/")[2])
            store.append("X", rows[: len(kept)])
            if batch_labels is not None:
                labels.append(_label_values(batch_labels, path, start)[kept])
            first = parts.get(part_of(path), [len(ids) - len(kept)])[0]
            parts[part_of(path)] = [first, len(ids)]
        if not ids:
            raise InputError(
                f"None of the {self.total} pictures of {self.files[0]} can be decoded.", "Get the file again."
            )
        return ids, folders, _joined(labels), parts

    def _names(self, labels: np.ndarray | None, folders: list[str]) -> list[str]:
        """Class names from the file's own metadata, else from the pictures' folders where these fit the labels."""
        metadata = parquet_file(self.files[0]).schema_arrow.metadata or {}
        try:
            features = json.loads(metadata[b"huggingface"])["info"]["features"]
            return [str(name) for name in features[self.labels]["names"]]
        except (KeyError, TypeError, ValueError):
            pass
        if labels is None or labels.dtype.kind not in "iu" or not folders or min(labels, default=-1) < 0:
            return []
        pairs = sorted({(int(label), folder) for label, folder in zip(labels.tolist(), folders, strict=True)})
        found = [folder for _, folder in pairs]
        return found if [label for label, _ in pairs] == list(range(len(set(found)))) and all(found) else []


def _content(cell: dict | bytes | None) -> tuple[bytes, str]:
    if isinstance(cell, dict):
        return cell.get("bytes") or b"", cell.get("path") or ""
    return cell or b"", ""


def _label_values(cells: Any, path: Path, start: int) -> np.ndarray:
    """Labels of one batch as integers, floats or UTF-8 bytes."""
    import pyarrow as pa

    if cells.null_count:
        row = start + int(np.flatnonzero(cells.is_null().to_numpy(zero_copy_only=False))[0]) + 1
        raise InputError(f"The label in row {row} of {path} is missing.", "Fill it in, or remove the row.")
    if pa.types.is_dictionary(cells.type):
        cells = cells.dictionary_decode()
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return np.char.encode(np.array(cells.to_pylist(), dtype=str), "utf-8")
    values = cells.to_numpy(zero_copy_only=False)
    return values.astype(np.int64) if values.dtype.kind in "iub" else values


def _joined(labels: list[np.ndarray]) -> np.ndarray | None:
    return np.concatenate(labels) if labels else None
