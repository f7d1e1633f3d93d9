"""CIFAR's binary archives: records of one (CIFAR-10) or two (CIFAR-100) label bytes and 3·32·32 levels.

The members of the archive are read as streams and never extracted; only those with the published names are looked at.
Source: https://www.cs.toronto.edu/~kriz/cifar.html, "Binary version".
"""

import re
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.data.cache import Store, decoded
from trainwell.data.source import Numbered, Progress, Source
from trainwell.errors import InputError

PIXELS = 3 * 32 * 32
ARCHIVE = re.compile(r"cifar-?100?-binary\.(tar\.gz|tgz|tar)$")
RECORDS = re.compile(r"^(data_batch_\d|test_batch|train|test)\.bin$")
NAMES = re.compile(r"^(batches\.meta|fine_label_names)\.txt$")


def cifar_files(path: Path) -> list[Path]:
    """The archive, or the unpacked record and name files, at this path; [] if there are none."""
    if path.is_file():
        return [path] if ARCHIVE.search(path.name) else []
    for folder in (path, path / "cifar-10-batches-bin", path / "cifar-100-binary"):
        if folder.is_dir():
            files = sorted(file for file in folder.iterdir() if RECORDS.match(file.name) or NAMES.match(file.name))
            if any(RECORDS.match(file.name) for file in files):
                return files
    return sorted(file for file in path.iterdir() if ARCHIVE.search(file.name))[:1]


def read_cifar(path: Path, progress: Progress | None = None) -> Source:
    """Decode the records, training part first."""
    files = cifar_files(path)
    arrays, meta = decoded(files, {"format": "cifar"}, lambda store: _decode(files, store, progress))
    return Source(
        kind="image",
        X=arrays["X"],
        labels=np.array(arrays["y"], np.int64),
        names=tuple(meta["names"]),
        parts={name: (start, stop) for name, (start, stop) in meta["parts"].items()} if len(meta["parts"]) > 1 else {},
        ids=Numbered(len(arrays["X"])),
        provenance={"format": "CIFAR binary", "files": ", ".join(file.name for file in files)},
    )


def _decode(files: list[Path], store: Store, progress: Progress | None) -> dict[str, Any]:
    if not ARCHIVE.search(files[0].name):
        return _append({file.name: file.read_bytes for file in files}, files[0].parent, store, progress)
    try:
        with tarfile.open(files[0]) as archive:
            members = {Path(member.name).name: member for member in archive if member.isfile()}

            def reader(member: tarfile.TarInfo) -> Callable[[], bytes]:
                def read() -> bytes:
                    stream = archive.extractfile(member)
                    return stream.read() if stream else b""

                return read

            wanted = {name: reader(m) for name, m in members.items() if RECORDS.match(name) or NAMES.match(name)}
            return _append(wanted, files[0], store, progress)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"{files[0]} is damaged ({error}).", "Remove it and download it again.") from None


def _append(
    readers: dict[str, Callable[[], bytes]], place: Path, store: Store, progress: Progress | None
) -> dict[str, Any]:
    records = sorted((name for name in readers if RECORDS.match(name)), key=lambda name: ("test" in name, name))
    if not records:
        raise InputError(f"{place} holds none of CIFAR's record files.", "Give the binary version of CIFAR.")
    label_bytes = 2 if "train.bin" in records or "test.bin" in records else 1
    names = next((readers[name]().decode().split() for name in readers if NAMES.match(name)), [])
    parts: dict[str, list[int]] = {}
    start = 0
    for number, name in enumerate(records):
        if progress:
            progress(f"reading {name}", number / len(records))
        data = np.frombuffer(readers[name](), np.uint8)
        if len(data) == 0 or len(data) % (label_bytes + PIXELS):
            raise InputError(
                f"{name} of {place} has {len(data)} bytes, no multiple of {label_bytes + PIXELS}.", "Download it again."
            )
        rows = data.reshape(-1, label_bytes + PIXELS)
        store.append("X", rows[:, label_bytes:].reshape(-1, 3, 32, 32))
        store.append("y", rows[:, label_bytes - 1])
        part = "test" if "test" in name else "train"
        parts[part] = [parts.get(part, [start])[0], start + len(rows)]
        start += len(rows)
    return {"parts": parts, "names": names}
