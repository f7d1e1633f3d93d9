"""Read what `locate` found, with the one reader of its format."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from trainwell.data.arrays import read_array_file
from trainwell.data.cifar_binary import read_cifar
from trainwell.data.folder import read_folder
from trainwell.data.idx import read_idx
from trainwell.data.known import read_digits
from trainwell.data.locate import Place
from trainwell.data.parquet_images import is_complete, part_of, picture_column, read_parquet_images
from trainwell.data.source import Progress, Source
from trainwell.data.table import Cells, is_table, read_table
from trainwell.errors import InputError


def read_source(
    place: Place,
    *,
    target: str | None = None,
    image_size: int | Sequence[int] | None = None,
    shape: tuple[int, ...] | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Source:
    """Everything but tables; ``shape`` is what a network asks of pictures, ``image_size`` what a user does."""
    pictures: dict[str, Any] = {"image_size": image_size, "shape": shape, "skip_bad": skip_bad, "progress": progress}
    match place.form:
        case "digits":
            source = read_digits()
        case "idx":
            source = read_idx(place.path, progress, skip_bad=skip_bad)
        case "cifar":
            source = read_cifar(place.path, progress)
        case "parquet pictures":
            files, lost = _parquets(place.path, skip_bad)
            source = read_parquet_images(files, target=target, **pictures)
            source = replace(source, notes=(*lost, *source.notes))
        case "folder":
            source = read_folder(place.path, **pictures)
        case _:
            source = read_array_file(place.path, target)
    if place.known is not None and place.known.classes and not source.names:
        source = replace(source, names=place.known.classes)
    published = {"published": place.known.source} if place.known else {}
    return replace(source, provenance={"source": str(place.path), **published, **source.provenance})


def read_cells(
    place: Place, targets: str | None = None, *, test_only: bool = False
) -> tuple[Cells, dict[str, tuple[int, int]]]:
    """A table, or a folder of tables with the same columns, the parts by the files' names (train.csv, test.csv).

    Args:
        place: file or folder.
        targets: files without this column (a test file to be predicted) are passed over.
        test_only: read only the test files of a folder that has any.
    """
    if place.path.is_file():
        return read_table(place.path), {}
    order = {"train": 0, "val": 1, "test": 2}
    files = sorted(f for f in place.path.iterdir() if f.is_file() and is_table(f) and f.suffix != ".txt")
    files.sort(key=lambda file: order[part_of(file)])
    files = [file for file in files if test_only and part_of(file) == "test"] or files
    read = [(file, read_table(file)) for file in files]
    notes = [note for _, cells in read for note in cells.notes]
    wanted = [targets] if targets is None or targets in read[0][1].table.column_names else targets.split(",")
    for file, cells in read[1:]:
        lost = [name for name in wanted if name is not None and name.strip() not in cells.table.column_names]
        if lost:
            notes.append(f"{file.name} has no column {lost[0]!r} and is not used.")
            read = [pair for pair in read if pair[0] != file]
    return _joined(read, notes)


def _joined(read: list[tuple[Path, Cells]], notes: list[str]) -> tuple[Cells, dict[str, tuple[int, int]]]:
    import pyarrow as pa

    names = read[0][1].table.column_names
    parts: dict[str, tuple[int, int]] = {}
    tables: list[Any] = []
    start = 0
    for file, cells in read:
        if sorted(cells.table.column_names) != sorted(names):
            odd = sorted(set(names) ^ set(cells.table.column_names))[0]
            raise InputError(
                f"{read[0][0].name} and {file.name} differ in their columns ({odd!r}).",
                "Give files with the same columns.",
            )
        tables.append(cells.table.select(names))
        part, rows = part_of(file), cells.table.num_rows
        parts[part] = (parts.get(part, (start, 0))[0], start + rows)
        start += rows
    try:
        table = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    except pa.ArrowException as error:
        raise InputError(
            f"The files differ in the types of their columns ({error}).", "Give files that fit together."
        ) from None
    return Cells(table, read[0][1].delimiter, tuple(notes)), parts if len(parts) > 1 and "train" in parts else {}


def _parquets(path: Path, skip_bad: bool) -> tuple[list[Path], tuple[str, ...]]:
    """The files of pictures and, with ``skip_bad``, a sentence on those that are not complete and left out."""
    if path.is_file():
        return [path], ()
    files = [file for file in sorted(path.iterdir()) if file.suffix == ".parquet"]
    lost = [file.name for file in files if skip_bad and not is_complete(file)]
    notes = (f"Damaged files left out: {len(lost)} ({', '.join(lost)}).",) if lost else ()
    return [file for file in files if file.name not in lost and picture_column(file)], notes
