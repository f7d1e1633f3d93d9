"""``trainwell predict``: the answers of a trained model, as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.cli import options, output
from trainwell.cli.display import shown

IMAGES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def predict(
    run: options.RunFolder,
    source: Annotated[
        str,
        typer.Argument(
            metavar="INPUT",
            help="A table, one image, a folder of images, .npy, .npz or IDX; a target in it is not needed.",
            show_default=False,
        ),
    ],
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.csv", help="Where the table goes; stdout if left out.", show_default=False
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Predict for a table, an image or a folder of images.

    Columns that tell rows apart are carried over; each class has a column of its probability. A single image without
    -o prints its class and the probabilities.

    Examples:

      trainwell predict runs/house-1 new.csv -o priced.csv
      trainwell predict runs/photos-1 cat.jpg
      trainwell predict runs/photos-1 inbox/ | sort -t, -k3 -rg | head
    """
    from trainwell.training import jobs

    with shown(quiet) as callbacks:
        table = jobs.predict(run, source, file, callbacks=callbacks)
    if json:
        output.put_json(_as_json(run, table, file))
    elif file is not None:
        output.put(str(file))
    elif Path(source).suffix.lower() in IMAGES:
        output.put(*_one_image(table.columns, next(iter(table.rows()))))
    else:
        for lines in _csv(table.columns, table.rows()):
            output.put(lines)


def _as_json(run: Path, table: Any, file: Path | None) -> dict[str, Any]:
    if file is not None:
        return {"run": run, "file": file, "columns": table.columns}
    return {"run": run, "rows": [dict(zip(table.columns, row, strict=True)) for row in table.rows()]}


def _csv(names: Sequence[str], rows: Iterable[Sequence[Any]], block: int = 1000) -> Iterable[str]:
    """The table as CSV, in blocks of lines; floats have the seven digits that they have in a file."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for count, row in enumerate(rows, start=1):
        writer.writerow([f"{cell:.7g}" if isinstance(cell, float) else cell for cell in row])
        if count % block == 0:
            yield text.getvalue().removesuffix("\n")
            text.seek(0)
            text.truncate()
    if text.getvalue():
        yield text.getvalue().removesuffix("\n")


def _one_image(names: Sequence[str], row: Sequence[Any]) -> list[str]:
    """The answer, and under it the probabilities, the largest first."""
    cells = list(zip(names, row, strict=True))[1:]
    chances = {name[2:-1]: value for name, value in cells if name.startswith("p(") and name.endswith(")")}
    answers = [output.number(value) for name, value in cells if name[2:-1] not in chances]
    ordered = sorted(chances.items(), key=lambda item: -item[1])
    return [*answers, *output.columns([[f"  {name}", f"{value:.4f}"] for name, value in ordered])]
