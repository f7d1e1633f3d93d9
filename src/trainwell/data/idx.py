"""IDX files, the format of MNIST: two zero bytes, a type code, the number of dimensions, the sizes, the values.

Sizes are big-endian int32; type 0x08 (unsigned byte) is read here, the only one in use for pictures and labels.
Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits".
"""

import gzip
import io
import math
import re
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from trainwell.data.cache import Store, decoded
from trainwell.data.source import Numbered, Progress, Source
from trainwell.errors import InputError

PICTURES = re.compile(r"idx3[-.]ubyte(\.gz)?$")
ROWS_AT_ONCE = 4096


def is_idx(path: Path) -> bool:
    """Whether the name is that of an IDX file, or (plain files) the first bytes are."""
    if re.search(r"idx[13][-.]ubyte(\.gz)?$|\.idx(\.gz)?$", path.name):
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        head = file.read(4)
    return len(head) == 4 and head[:3] == b"\0\0\x08" and head[3] in (1, 3)


def idx_folder(folder: Path) -> list[Path]:
    """The picture files of a folder of IDX files, the training part first; empty if there are none."""
    pictures = [path for path in sorted(folder.iterdir()) if PICTURES.search(path.name) and labels_of(path)]
    return sorted(
        {re.sub(r"\.gz$", "", p.name): p for p in pictures}.values(), key=lambda path: part_of(path) != "train"
    )


def part_of(path: Path) -> str:
    """The part that a file's name speaks of (MNIST calls its test part t10k), "train" if of none."""
    return "test" if re.search(r"t10k|test", path.name) else "val" if "val" in path.name else "train"


def labels_of(pictures: Path) -> Path | None:
    """The label file that stands beside a file of pictures."""
    name = pictures.name.replace("images", "labels").replace("idx3", "idx1")
    for candidate in (name, f"{name}.gz", name.removesuffix(".gz")):
        if candidate != pictures.name and (pictures.parent / candidate).is_file():
            return pictures.parent / candidate
    return None


def read_idx(path: Path, progress: Progress | None = None, *, skip_bad: bool = False) -> Source:
    """One file of pictures with its labels beside it, or a folder of such pairs (train-…, t10k-…).

    Args:
        path: file or folder.
        progress: told how far it is.
        skip_bad: of files that end early take the rows that are complete, and say how many are not.
    """
    files = idx_folder(path) if path.is_dir() else [path]
    labels = [labels_of(file) for file in files]
    everything = [file for file in (*files, *labels) if file is not None]
    options = {"format": "idx", "skip_bad": skip_bad}
    arrays, meta = decoded(everything, options, lambda store: _decode(files, labels, store, progress, skip_bad))
    pictures = arrays["X"]
    return Source(
        kind="image",
        X=pictures,
        labels=np.array(arrays["y"], np.int64) if "y" in arrays else None,
        parts={name: (start, stop) for name, (start, stop) in meta["parts"].items()} if len(files) > 1 else {},
        ids=Numbered(len(pictures)),
        notes=tuple(meta["notes"]),
        provenance={"format": "IDX", "files": ", ".join(file.name for file in everything)},
    )


def _decode(
    files: list[Path], labels: list[Path | None], store: Store, progress: Progress | None, skip_bad: bool
) -> dict[str, Any]:
    parts: dict[str, list[int]] = {}
    notes: list[str] = []
    start = 0
    shape: tuple[int, ...] = ()
    for number, (file, label_file) in enumerate(zip(files, labels, strict=True)):
        if progress:
            progress(f"reading {file.name}", number / len(files))
        pair = [file, *([label_file] if label_file else [])]
        if skip_bad and (whole := _complete_rows(pair, notes)) is not None:
            count, sizes = _append_some(pair, whole, store)
        else:
            count, sizes = _append(file, store, "X")
            if label_file is not None and (found := _append(label_file, store, "y")[0]) != count:
                raise InputError(
                    f"{label_file} has {found} labels for the {count} pictures of {file.name}.",
                    "Use files that belong together.",
                )
        shape = shape or sizes
        if sizes != shape:
            raise InputError(
                f"{file} has pictures of {sizes}, {files[0].name} of {shape}.", "Use files that belong together."
            )
        parts[part_of(file)] = [start, start + count]
        start += count
    return {"parts": parts, "notes": notes}


def _complete_rows(pair: list[Path], notes: list[str]) -> int | None:
    """How many rows all files of the pair have whole, with a sentence on the others; None if nothing is missing."""
    announced, found = [], []
    for path in pair:
        sizes, values = _salvaged(path)
        announced.append(sizes[0])
        found.append(min(sizes[0], len(values) // max(1, math.prod(sizes[1:]))))
    least, most = min(found), max(announced)
    if least == most:
        return None
    if least == 0:
        raise InputError(f"{pair[0]} has no complete picture.", "Get the file again.")
    short = pair[found.index(least)]
    notes.append(f"{short.name} ends early: {most - least} of {most} pictures are left out.")
    return least


def _append_some(pair: list[Path], count: int, store: Store) -> tuple[int, tuple[int, ...]]:
    shape: tuple[int, ...] = ()
    for name, path in zip(("X", "y"), pair, strict=False):
        sizes, values = _salvaged(path)
        row = (1, *sizes[1:]) if len(sizes) == 3 else sizes[1:]
        store.append(name, np.frombuffer(values, np.uint8, count * math.prod(row)).reshape(count, *row))
        shape = shape or row
    return count, shape


def _salvaged(path: Path) -> tuple[tuple[int, ...], bytes]:
    """The sizes that a file announces, and the values of it that can be read."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        try:
            content = zlib.decompressobj(wbits=31).decompress(content)  # gives what is there of a stream cut short
        except zlib.error as error:
            raise InputError(f"{path} is damaged ({error}).", "Get the file again.") from None
    file = io.BytesIO(content)
    sizes = _header(file, path)
    return sizes, file.read()


def _append(path: Path, store: Store, name: str) -> tuple[int, tuple[int, ...]]:
    """Copy a file's values to the store; returns how many rows, and the shape of one."""
    again = "Get the file again: it is not complete; --skip-bad takes the rows that are."
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            sizes = _header(file, path)
            row = (1, *sizes[1:]) if len(sizes) == 3 else sizes[1:]
            for start in range(0, sizes[0], ROWS_AT_ONCE):
                rows = min(ROWS_AT_ONCE, sizes[0] - start)
                data = file.read(rows * math.prod(row))
                if len(data) < rows * math.prod(row):
                    raise InputError(
                        f"{path} ends early: row {start + len(data) // math.prod(row) + 1} of {sizes[0]}.", again
                    )
                store.append(name, np.frombuffer(data, np.uint8).reshape(rows, *row))
            if file.read(1):
                raise InputError(f"{path} goes on after the {sizes[0]} rows that it announces.", "Get the file again.")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{path} is damaged ({error}).".replace("..", "."), again) from None
    return sizes[0], row


def _header(file: BinaryIO | gzip.GzipFile, path: Path) -> tuple[int, ...]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] != 8 or head[3] not in (1, 3):
        raise InputError(
            f"{path} is not an IDX file of bytes in 1 or 3 dimensions (it starts with {head.hex(' ') or 'nothing'}).",
            "Get the file again, or convert it to .npz.",
        )
    sizes = tuple(int(size) for size in np.frombuffer(file.read(4 * head[3]), ">i4"))
    if len(sizes) < head[3] or min(sizes) < 1:
        raise InputError(f"{path} announces sizes {sizes}.", "Get the file again: it is not complete.")
    return sizes
