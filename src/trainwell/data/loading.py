"""One call from a known name, file or folder to a `Dataset`."""

from collections.abc import Sequence
from pathlib import Path

from trainwell.data.assemble import assemble
from trainwell.data.dataset import Dataset, SplitOptions
from trainwell.data.locate import locate
from trainwell.data.readers import read_cells, read_source
from trainwell.data.source import Progress
from trainwell.data.tabular import TableOptions, tabulate
from trainwell.data.target import check_task
from trainwell.errors import InputError


def load(
    spec: str | Path,
    *,
    target: str | None = None,
    task: str | None = None,
    keep: Sequence[str] = (),
    drop: Sequence[str] = (),
    weight: str | None = None,
    split: SplitOptions | None = None,
    skip_bad: bool = False,
    image_size: int | Sequence[int] | None = None,
    data_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Dataset:
    """Read, understand and split a dataset; the rows are split before anything is fitted to the training part.

    Args:
        spec: digits, mnist, fashion-mnist, cifar10, cifar100, or the path of a CSV or Parquet table, a folder of
            pictures by class, Parquet files of pictures, IDX files, .npz or .npy.
        target: column of a table (several separated by commas), of Parquet pictures, or array of an .npz to learn.
        task: classification, binary, regression or multilabel; None: guessed from the target.
        keep: columns to use though they would be left out.
        drop: columns to leave out.
        weight: column of sample weights.
        split: how to share out the rows.
        skip_bad: leave out damaged pictures instead of stopping.
        image_size: side in pixels, or height and width, of pictures in folders and Parquet files.
        data_root: folder of datasets, looked through before $TRAINWELL_DATA.
        progress: called as ``progress(text, fraction)`` while something lasts.

    Raises:
        InputError: if the data are not there, damaged or of no use; it says where and what to do.
    """
    split = split or SplitOptions()
    if isinstance(keep, str) or isinstance(drop, str):
        raise InputError("keep and drop are lists of columns.", 'Write keep=("alive",).')
    check_task(task)
    place = locate(spec, data_root, progress)
    if place.form == "table":
        cells, parts = read_cells(place, target)
        options = TableOptions(target, task, keep, drop, weight)
        provenance = {"source": str(place.path), "format": "CSV" if cells.delimiter else "Parquet"}
        return tabulate(cells, place.name, options, split, parts=parts, provenance=provenance)
    for option, given in (("keep", keep), ("drop", drop), ("weight", weight), ("split column", split.column)):
        if given:
            raise InputError(f"{place.name} is no table, so {option} has no meaning.", f"Leave {option} out.")
    source = read_source(place, target=target, image_size=image_size, skip_bad=skip_bad, progress=progress)
    return assemble(source, place.name, target=target or "label", task=task, split=split)
