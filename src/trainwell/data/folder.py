"""A folder of pictures: one subfolder a class, train/, val/ and test/ on top respected where they are."""

import os
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.data.cache import Store, decoded
from trainwell.data.pictures import SUFFIXES, BadPicture, common_shape, decoding, height_and_width, levels, look, opened
from trainwell.data.source import Progress, Source
from trainwell.errors import InputError

PART_NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}
FILES_AT_ONCE = 256


@dataclass(frozen=True)
class Found:
    """The picture files of a folder, part after part.

    Args:
        files: all of them.
        labels: class of each, an index into ``names``; None where the folder is flat.
        names: classes in order.
        parts: "train", "val", "test" → (first, after the last); empty where the folder is not parted.
        notes: what was passed over.
    """

    files: list[Path]
    labels: np.ndarray | None
    names: tuple[str, ...]
    parts: dict[str, tuple[int, int]]
    notes: tuple[str, ...]


def pictures_below(folder: Path) -> list[Path]:
    """All picture files in this folder and below, in order of their paths; hidden ones are passed over."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, name) for name in files if Path(name).suffix.lower() in SUFFIXES and name[0] != "."]
    return sorted(found)


def holds_pictures(folder: Path) -> bool:
    """Whether there is a picture in this folder or below."""
    return any(Path(name).suffix.lower() in SUFFIXES for _, _, files in os.walk(folder) for name in files)


def survey(folder: Path) -> Found:
    """Find parts, classes and files; a folder without class subfolders is flat."""
    subfolders = {path.name.lower(): path for path in sorted(folder.iterdir()) if path.is_dir() and path.name[0] != "."}
    tops = {part: subfolders[name] for part, names in PART_NAMES.items() for name in names if name in subfolders}
    if "train" not in tops or len(tops) == 1:
        tops = {"": folder}
    classes = {part: _class_folders(top) for part, top in tops.items()}
    notes = []
    for part in [part for part in classes if part and not classes[part]]:
        notes.append(f"{tops.pop(part)} has no class subfolders and is not used.")
        classes.pop(part)
    labelled = any(classes.values())
    names = tuple(sorted({name for found in classes.values() for name in found}, key=_numbers_in_order))
    if labelled and "train" in classes and (unseen := [name for name in names if name not in classes["train"]]):
        notes.append(f"The training part has no pictures of {', '.join(unseen)}.")
    files: list[Path] = []
    labels: list[int] = []
    parts: dict[str, tuple[int, int]] = {}
    for part, top in tops.items():
        start = len(files)
        groups = [(names.index(name), below) for name, below in classes[part].items()]
        for code, below in groups if labelled else [(0, pictures_below(top))]:
            files += below
            labels += [code] * len(below)
        parts[part] = (start, len(files))
        loose = sum(path.suffix.lower() in SUFFIXES for path in top.iterdir()) if labelled else 0
        if loose:
            notes.append(f"{loose} pictures in {top} that stand in no class subfolder are not used.")
    parts = parts if len(parts) > 1 else {}
    return Found(files, np.array(labels, np.int64) if labelled else None, names, parts, tuple(notes))


def read_folder(
    folder: Path,
    *,
    image_size: int | Sequence[int] | None = None,
    shape: tuple[int, ...] | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Decode all pictures of a folder (or one picture file) to one shape.

    Args:
        folder: with class subfolders, or flat.
        image_size: side, or height and width, of all pictures.
        shape: (C, H, W) that the pictures must get, when the network is given.
        skip_bad: leave out damaged pictures instead of stopping.
        progress: told how far it is.
    """
    single = folder.is_file()
    found = Found([folder], None, (), {}, ()) if single else survey(folder)
    root = folder.parent if single else folder
    if not found.files:
        raise InputError(
            f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))}).",
            "Give a folder with one subfolder of pictures a class.",
        )
    size = height_and_width(image_size)
    options = {"format": "folder", "size": size, "shape": shape, "skip_bad": skip_bad}
    arrays, meta = decoded(found.files, options, _Decoder(found.files, shape, size, skip_bad, progress))
    kept = np.array(arrays["kept"], np.int64)
    notes = (*found.notes, *meta["notes"])
    return Source(
        kind="image",
        X=arrays["X"],
        labels=None if found.labels is None else found.labels[kept],
        names=found.names,
        parts={
            part: (int(np.searchsorted(kept, start)), int(np.searchsorted(kept, stop)))
            for part, (start, stop) in found.parts.items()
        },
        ids=[found.files[i].relative_to(root).as_posix() for i in kept],
        id_name="file",
        notes=notes,
        provenance={"format": "folder of pictures", "coding": meta["coding"], "files": str(len(kept))},
    )


class _Decoder:
    """Reads the files twice, a chunk at a time on several threads: headers for the common shape, then the pictures."""

    def __init__(
        self,
        files: list[Path],
        shape: tuple[int, ...] | None,
        size: tuple[int, int] | None,
        skip_bad: bool,
        progress: Progress | None,
    ) -> None:
        self.files, self.shape, self.size, self.skip_bad, self.progress = files, shape, size, skip_bad, progress
        self.bad: dict[int, BadPicture] = {}

    def __call__(self, store: Store) -> dict[str, Any]:
        notes: list[str] = []
        shape: tuple[int, ...]
        formats: set[str] = set()
        with decoding(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            if self.shape is None:
                looks = [found for chunk in self._each(pool, _look, "looking at the pictures") for _, found in chunk]
                self._some(looks)
                shape, note = common_shape(looks, self.size)
                notes += [note] if note else []
            else:
                shape = self.shape
            for chunk in self._each(pool, lambda path: _levels(path, shape), "decoding pictures"):
                if chunk:
                    store.append("X", np.stack([rows for _, (rows, _) in chunk]))
                    store.append("kept", np.array([index for index, _ in chunk], np.int64))
                    formats |= {form for _, (_, form) in chunk}
        self._some(formats)
        if self.bad:
            first = min(self.bad)
            name = "/".join(self.files[first].parts[-2:])  # with the class
            notes.append(f"Damaged pictures left out: {len(self.bad)} (first {name}: {self.bad[first]}).")
        return {"notes": notes, "coding": ", ".join(sorted(formats))}

    def _each(self, pool: ThreadPoolExecutor, work: Any, text: str) -> Iterator[list[tuple[int, Any]]]:
        """(index, result) of the good files of each chunk."""
        for start in range(0, len(self.files), FILES_AT_ONCE):
            if self.progress:
                self.progress(text, start / len(self.files))
            chunk = self.files[start : start + FILES_AT_ONCE]
            results = list(enumerate(pool.map(_tried(work), chunk), start))
            for index, result in results:
                if isinstance(result, BadPicture):
                    self.bad[index] = result
                    if not self.skip_bad:
                        wrong = f"The picture {self.files[index]} is bad: {result}."
                        raise InputError(wrong, "Repair it, or leave such out with --skip-bad.")
            yield [(index, result) for index, result in results if not isinstance(result, BadPicture)]

    def _some(self, good: Collection[Any]) -> None:
        if not good:
            none = f"None of the {len(self.files)} pictures can be decoded."
            raise InputError(none, "Give pictures that other programs show.")


def _tried(work: Any) -> Any:
    def trying(path: Path) -> Any:
        try:
            return work(path)
        except BadPicture as error:
            return error

    return trying


def _look(path: Path) -> tuple[int, int, bool]:
    with opened(path) as image:
        return look(image)


def _levels(path: Path, shape: tuple[int, ...]) -> tuple[np.ndarray, str]:
    with opened(path) as image:
        form = image.format or ""
        return levels(image, shape), form


def _class_folders(top: Path) -> dict[str, list[Path]]:
    folders = sorted(path for path in top.iterdir() if path.is_dir() and path.name[0] != ".")
    return {path.name: below for path in folders if (below := pictures_below(path))}


def _numbers_in_order(name: str) -> tuple[int, int, str]:
    return (0, int(name), name) if name.isdecimal() else (1, 0, name)
