"""What a user's word for data stands for: a known name, or a path and the format of what is there."""

import os
from dataclasses import dataclass
from pathlib import Path

from trainwell.data.cache import cache_folder
from trainwell.data.cifar_binary import cifar_files
from trainwell.data.download import download
from trainwell.data.folder import holds_pictures
from trainwell.data.idx import idx_folder, is_idx
from trainwell.data.known import KNOWN, Known
from trainwell.data.parquet_images import is_complete, picture_column
from trainwell.data.pictures import SUFFIXES
from trainwell.data.source import Progress
from trainwell.data.table import is_table
from trainwell.errors import InputError
from trainwell.nearest_name import nearest

FORMATS = (
    "a CSV or Parquet table, a folder of pictures with a subfolder a class, Parquet files of pictures, IDX files, "
    ".npz or .npy"
)
PICKLES = frozenset({".pkl", ".pickle", ".joblib", ".pt", ".pth"})


@dataclass(frozen=True)
class Place:
    """Where data are.

    Args:
        name: of the dataset.
        form: digits, idx, cifar, parquet pictures, table, folder or arrays.
        path: file or folder; of no meaning for digits.
        known: the dataset if it was asked for by name.
    """

    name: str
    form: str
    path: Path
    known: Known | None = None


def locate(spec: str | Path, data_root: str | Path | None = None, progress: Progress | None = None) -> Place:
    """Find the data, downloading a known set if it is nowhere at hand.

    Args:
        spec: known name or path. A known name is looked for as a folder of this name in ``data_root``, in
            $TRAINWELL_DATA, in the current folder, and among earlier downloads.
        data_root: folder of datasets.
        progress: told of downloads.
    """
    if isinstance(spec, str) and spec in KNOWN:
        return _known(KNOWN[spec], data_root, progress)
    if not str(spec).strip():
        raise InputError("No data are named.", f"Give {FORMATS}, or one of {', '.join(sorted(KNOWN))}.")
    path = Path(spec).expanduser()
    if not path.exists():
        raise _absent(path, data_root)
    if path.is_dir() and not any(path.iterdir()):
        raise InputError(f"The folder {path} is empty.", f"Give {FORMATS}.")
    name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    return Place(name or str(path), _form(path), path)


def _known(known: Known, data_root: str | Path | None, progress: Progress | None) -> Place:
    if not known.files:
        return Place(known.name, "digits", Path(known.name), known)
    downloads = cache_folder() / "downloads"
    roots = [
        Path(root) for root in (data_root, os.environ.get("TRAINWELL_DATA"), Path(), downloads) if root is not None
    ]
    complete = [file.name for file in known.files]
    for root in dict.fromkeys(roots):
        folder = root / known.name
        if folder.is_dir() and (form := _form_or_none(folder)):
            present = [(folder / name).is_file() for name in complete]
            if all(present) or not any(present):
                return Place(known.name, form, folder, known)
    root = Path(data_root) if data_root is not None and os.access(data_root, os.W_OK) else downloads
    folder = root / known.name
    for file in known.files:
        download(file, folder, progress)
    return Place(known.name, _form(folder), folder, known)


def _absent(path: Path, data_root: str | Path | None) -> InputError:
    if (root := data_root or os.environ.get("TRAINWELL_DATA")) and (Path(root) / path).exists():
        return InputError(f"There is no {path} here.", f"Did you mean {Path(root) / path}?")
    siblings = [str(path.with_name(other.name)) for other in path.parent.iterdir()] if path.parent.is_dir() else []
    candidates = [*siblings, *(KNOWN if path.parent == Path() else ())]
    hint = nearest(str(path), candidates, f"Give {FORMATS}, or one of {', '.join(sorted(KNOWN))}.")
    return InputError(f"There is no file or folder {str(path)!r}, and no known dataset of that name.", hint)


def _form(path: Path) -> str:
    if form := _form_or_none(path):
        return form
    if path.is_file() and path.suffix.lower() in PICKLES:
        raise InputError(
            f"{path} looks like a pickle, which trainwell never reads: it could run code.", f"Give {FORMATS}."
        )
    if path.is_dir() and (path / "data_batch_1").is_file():
        raise InputError(f"{path} holds CIFAR as pickles, which trainwell never reads.", "Give CIFAR's binary version.")
    what = "folder holds no data" if path.is_dir() else "file is of no kind"
    raise InputError(f"{path}: this {what} that trainwell knows.", f"Give {FORMATS}.")


def _form_or_none(path: Path) -> str | None:
    if path.is_file():
        return _form_of_file(path)
    if idx_folder(path):
        return "idx"
    if cifar_files(path):
        return "cifar"
    files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    parquet = [file for file in files if file.suffix == ".parquet"]
    if parquet:
        whole = [file for file in parquet if is_complete(file)] or parquet
        return "parquet pictures" if picture_column(whole[0]) else "table"
    if holds_pictures(path):
        return "folder"
    return "table" if any(is_table(file) and file.suffix != ".txt" for file in files) else None


def _form_of_file(path: Path) -> str | None:
    suffix = path.suffix.lower()
    if suffix in (".npz", ".npy"):
        return "arrays"
    if cifar_files(path):
        return "cifar"
    if suffix in (".parquet", ".pq"):
        return "parquet pictures" if picture_column(path) else "table"
    if suffix in SUFFIXES:
        return "folder"
    if is_table(path):
        return "table"
    return "idx" if is_idx(path) else None
