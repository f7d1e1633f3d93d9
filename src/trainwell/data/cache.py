"""Everything is decoded once: later runs map the decoded arrays into memory.

An entry is a folder of .npy files and meta.json, named by the SHA-256 of (paths, sizes, modification times, decoder
version, options). It is written beside its place and renamed, so a reader sees all of it or nothing, and of two
writers at once the first wins. Where the cache cannot be written, the arrays stay in memory.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np

from trainwell.errors import JobError

DECODER_VERSION = 1
"""Part of every key: raised whenever decoding gives other values than before."""


class Store(Protocol):
    """Where a decoder puts its rows, chunk after chunk."""

    def append(self, name: str, rows: np.ndarray) -> None: ...


class MemoryStore:
    """Rows kept in memory."""

    def __init__(self) -> None:
        self.chunks: dict[str, list[np.ndarray]] = {}

    def append(self, name: str, rows: np.ndarray) -> None:
        self.chunks.setdefault(name, []).append(np.ascontiguousarray(rows))

    def arrays(self) -> dict[str, np.ndarray]:
        return {name: np.concatenate(self.chunks.pop(name)) for name in list(self.chunks)}


class DiskStore:
    """Rows appended to .npy files whose header is corrected at the end (its length does not depend on the rows)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files: dict[str, BinaryIO] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, np.dtype] = {}

    def append(self, name: str, rows: np.ndarray) -> None:
        if name not in self.files:
            self.files[name] = (self.folder / f"{name}.npy").open("wb")
            self.shapes[name], self.dtypes[name] = (0, *rows.shape[1:]), rows.dtype
            self._write_header(name)
        self.files[name].write(np.ascontiguousarray(rows, self.dtypes[name]).data)
        self.shapes[name] = (self.shapes[name][0] + len(rows), *rows.shape[1:])

    def close(self) -> None:
        """Complete the headers and bring everything to the disk."""
        for name, file in self.files.items():
            file.seek(0)
            self._write_header(name)
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def abandon(self) -> None:
        for file in self.files.values():
            file.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write_header(self, name: str) -> None:
        header = {"descr": self.dtypes[name].str, "fortran_order": False, "shape": self.shapes[name]}
        np.lib.format.write_array_header_1_0(self.files[name], header)


def cache_folder() -> Path:
    """$TRAINWELL_CACHE, or trainwell/ in $XDG_CACHE_HOME, or ~/.cache/trainwell."""
    if own := os.environ.get("TRAINWELL_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trainwell"


def key_of(paths: Sequence[Path], options: Mapping[str, Any]) -> str:
    """Name of the entry for these files, as they are now, decoded with these options."""
    stats = [(str(path.resolve()), stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()]]
    return hashlib.sha256(json.dumps([DECODER_VERSION, stats, options], default=str).encode()).hexdigest()[:32]


def decoded(
    paths: Sequence[Path], options: Mapping[str, Any], decode: Callable[[Store], dict[str, Any]]
) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """What ``decode`` gives: its arrays (memory-mapped, read-only) and its description, from the cache if there.

    Args:
        paths: files that the result depends on.
        options: everything else that it depends on; can be written as JSON.
        decode: appends rows to the store and returns a description that can be written as JSON.
    """
    place = cache_folder() / "decoded" / key_of(paths, options)
    found = _read(place)
    if found is not None:
        return found
    if options.get("shape") is not None and (found := _of_shape(paths, options)):
        return found
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        store = DiskStore(Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent)))
    except OSError:
        memory = MemoryStore()
        meta = decode(memory)
        return memory.arrays(), meta
    try:
        meta = decode(store)
        _publish(store, meta, place)
    except OSError as error:
        raise JobError(
            f"The decoded data could not be written to {place.parent} ({error.strerror or error}).",
            "Free some space, or set TRAINWELL_CACHE to a folder with room.",
        ) from error
    finally:
        store.abandon()
    found = _read(place)
    if found is None:
        raise JobError(f"The decoded data in {place} cannot be read back.", "Remove that folder and try again.")
    return found


def _of_shape(paths: Sequence[Path], options: Mapping[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """The entry of a decoding that was free to choose the shape of its rows, if it chose the one wanted now."""
    for size in (None, options["shape"][1:]):
        found = _read(cache_folder() / "decoded" / key_of(paths, {**options, "shape": None, "size": size}))
        if found is not None and found[0]["X"].shape[1:] == tuple(options["shape"]):
            return found
    return None


def _publish(store: DiskStore, meta: dict[str, Any], place: Path) -> None:
    store.close()
    with (store.folder / "meta.json").open("w", encoding="utf-8") as file:
        json.dump(meta, file)
        file.flush()
        os.fsync(file.fileno())
    store.folder.chmod(0o755)
    try:
        store.folder.rename(place)
    except OSError:
        if _read(place) is None:
            shutil.rmtree(place, ignore_errors=True)
            store.folder.rename(place)
    if os.name == "posix":
        parent = os.open(place.parent, os.O_RDONLY)
        os.fsync(parent)
        os.close(parent)


def _read(place: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    try:
        meta = json.loads((place / "meta.json").read_text(encoding="utf-8"))
        arrays = {file.stem: np.load(file, mmap_mode="r", allow_pickle=False) for file in place.glob("*.npy")}
    except (OSError, ValueError):
        return None
    return arrays, meta
