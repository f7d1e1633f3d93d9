""".npy and .npz files: X of shape (N, F), (N, T, F), (N, H, W) or (N, C, H, W), and y. Pickles are never read."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.data.source import Numbered, Source
from trainwell.errors import InputError
from trainwell.nearest_name import nearest

FEATURES = ("X", "x", "data", "images", "features", "inputs", "arr_0")
LABELS = ("y", "Y", "label", "labels", "target", "targets", "arr_1")
PARTS = ("train", "val", "valid", "test")


def read_array_file(path: Path, target: str | None = None) -> Source:
    """Features and labels of an .npz, or of an .npy with its labels in a file beside it."""
    if path.suffix == ".npz":
        return _read_npz(path, target)
    labels = labels_beside(path)
    provenance = {"format": "npy", "files": path.name + (f", {labels.name}" if labels else "")}
    return as_source(load_array(path), load_labels(labels) if labels else None, str(path), provenance=provenance)


def as_source(
    X: np.ndarray,
    labels: np.ndarray | None,
    name: str,
    *,
    parts: dict[str, tuple[int, int]] | None = None,
    provenance: dict[str, str] | None = None,
) -> Source:
    """Tell images from arrays and sequences by dtype and shape; refuse what is not finite.

    uint8 of (N, H, W), (N, C, H, W) or (N, H, W, C), with C of 1 or 3, are images, and so are floats of four dimensions
    that hold whole levels 0…255 or their 255th parts. All else becomes float32: (N, F) array, (N, T, F) sequence.
    """
    X, notes = np.asarray(X), []
    if X.ndim < 1 or X.dtype.kind not in "buif":
        raise InputError(
            f"X of {name} has shape {X.shape} and dtype {X.dtype}.", "Give numbers of shape (N, F) or more."
        )
    if len(X) == 0 or 0 in X.shape:
        raise InputError(f"X of {name} has shape {X.shape}: there is nothing in it.", "Give at least one row.")
    if labels is not None and len(labels) != len(X):
        raise InputError(f"{name} has {len(X)} rows in X but {len(labels)} in y.", "Give one label a row.")
    X = X[:, None] if X.ndim == 1 else X
    images = as_levels(X)
    if images is None:
        X = finite_float32(X, name)
    else:
        if X.ndim == 4 and images.shape != X.shape:
            notes.append(f"The pictures of {name} have their channels last {X.shape}: moved to the front.")
        X = images
    return Source(
        kind="image" if images is not None else "sequence" if X.ndim == 3 else "array",
        X=X,
        labels=labels,
        parts=parts or {},
        ids=Numbered(len(X)),
        notes=tuple(notes),
        provenance=provenance or {},
    )


def as_levels(X: np.ndarray) -> np.ndarray | None:
    """Images as uint8 (N, C, H, W), or None if the array does not hold images."""
    if X.ndim not in (3, 4) or (X.ndim == 3 and X.dtype != np.uint8):
        return None
    if X.ndim == 4 and X.shape[1] not in (1, 3):
        if X.shape[3] not in (1, 3):
            return None
        X = X.transpose(0, 3, 1, 2)
    X = X[:, None] if X.ndim == 3 else X
    if X.dtype == np.uint8:
        return np.ascontiguousarray(X)
    low, high = X.min(), X.max()
    if not (low >= 0 and high <= 255):
        return None
    scale = 255 if X.dtype.kind == "f" and high <= 1 else 1
    rounded = np.rint(X * scale) if X.dtype.kind == "f" else X
    if X.dtype.kind == "f" and np.abs(rounded - X * scale).max() > 0.01:
        return None
    return np.ascontiguousarray(rounded.astype(np.uint8))


def finite_float32(X: np.ndarray, name: str) -> np.ndarray:
    """The values as float32; the first that is NaN, infinite or too large is an InputError."""
    with np.errstate(over="ignore"):
        values = np.ascontiguousarray(X, np.float32)
    if not np.isfinite(values).all():
        place = np.argwhere(~np.isfinite(values))[0].tolist()
        raise InputError(
            f"X of {name} is {X[tuple(place)]} at row {place[0]}, position {tuple(place[1:])} (counted from 0).",
            "Fill in or remove such values; a CSV or Parquet table may have missing cells.",
        )
    return values


def load_array(path: Path) -> np.ndarray:
    """One .npy file, never a pickle."""
    try:
        return np.load(path, allow_pickle=False, mmap_mode="r")
    except (ValueError, OSError, EOFError) as error:
        raise _unreadable(path, error) from None


def labels_beside(path: Path) -> Path | None:
    """The label file of X.npy: y.npy, labels.npy, X_labels.npy, …, also as .txt or .csv with one label a line."""
    stem = path.stem
    swapped = [
        stem.replace(old, new) for old in ("X", "x", "images", "data", "features") for new in LABELS if old in stem
    ]
    stems = [*swapped, *(f"{stem}{mark}{name}" for mark in "_-." for name in LABELS), *LABELS]
    for name in dict.fromkeys(stems):
        for suffix in (".npy", ".txt", ".csv"):
            candidate = path.with_name(name + suffix)
            if candidate != path and candidate.is_file():
                return candidate
    return None


def load_labels(path: Path) -> np.ndarray:
    """Labels of an .npy, or of a text file with one a line."""
    if path.suffix == ".npy":
        return np.array(load_array(path))
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return numbers_where_possible(np.array([line.strip().strip('"') for line in lines if line.strip()]))


def numbers_where_possible(texts: np.ndarray) -> np.ndarray:
    """Texts as integers or floats if all are, unchanged otherwise."""
    for dtype in (np.int64, np.float64):
        try:
            return texts.astype(dtype)
        except ValueError:
            continue
    return texts


def _read_npz(path: Path, target: str | None) -> Source:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(path, error) from None
    provenance = {"format": "npz", "files": path.name}
    if target is not None and target not in arrays and not any(f"{target}_{part}" in arrays for part in PARTS):
        raise InputError(f"{path} has no array {target!r}.", nearest(target, arrays, f"It has {', '.join(arrays)}."))
    trains = _part(arrays, "train", target)
    if trains is None:
        X = next((arrays[name] for name in FEATURES if name in arrays), None)
        if X is None:
            raise InputError(
                f"{path} has no features; its arrays are {', '.join(arrays) or 'none'}.",
                "Save it as np.savez(path, X=…, y=…), or X_train, y_train, X_test, y_test.",
            )
        labels = arrays[target] if target else next((arrays[name] for name in LABELS if name in arrays), None)
        return as_source(X, labels, str(path), provenance=provenance)
    found = {"val" if part == "valid" else part: pair for part in PARTS if (pair := _part(arrays, part, target))}
    if len({pair[0].shape[1:] for pair in found.values()}) > 1 or any(pair[1] is None for pair in found.values()):
        shapes = ", ".join(f"{part} {pair[0].shape}" for part, pair in found.items())
        raise InputError(
            f"The parts of {path} do not fit together ({shapes}).", "Give each part X and y of one shape a row."
        )
    parts, start = {}, 0
    for part, pair in found.items():
        parts[part] = (start, start + len(pair[0]))
        start += len(pair[0])
    X, y = (np.concatenate([np.asarray(pair[i]) for pair in found.values()]) for i in (0, 1))
    return as_source(X, y, str(path), parts=parts, provenance=provenance)


def _part(arrays: dict[str, np.ndarray], part: str, target: str | None) -> tuple[np.ndarray, Any] | None:
    """X and y of one part, named X_train or train_images and the like."""

    def named(names: tuple[str, ...]) -> np.ndarray | None:
        return next(
            (arrays[key] for name in names for key in (f"{name}_{part}", f"{part}_{name}") if key in arrays), None
        )

    X = named(FEATURES)
    return None if X is None else (X, named((target,) if target else LABELS))


def _unreadable(path: Path, error: Exception) -> InputError:
    if "pickle" in str(error) or "Python objects" in str(error):
        return InputError(
            f"{path} holds Python objects, which only a pickle could restore; trainwell never reads pickles.",
            "Save plain arrays: numbers, or labels as text (dtype str).",
        )
    return InputError(f"{path} is no complete NumPy file ({error}).", "Save it again with np.save or np.savez.")
