"""``trainwell export``: a trained model as a file that needs no trainwell."""

from pathlib import Path
from typing import Annotated

import typer

from trainwell.cli import options, output
from trainwell.cli.display import shown


def export(
    run: options.RunFolder,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="model.onnx or model.pt2; the suffix decides.", show_default=False)
    ],
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Write a trained model as ONNX or as a torch.export program.

    What prepares the input (standardizing, filling gaps, encoding categories) is part of the file, and batches may have
    any size. The written model is run once, and its largest difference from the run's own is printed.

    Examples:

      trainwell export runs/photos-1 photos.onnx
      trainwell export runs/house-1 house.pt2
    """
    from trainwell.training import jobs

    with shown(quiet=True):
        written = jobs.export(run, file)
    if json:
        output.put_json(written)
        return
    difference = written.get("difference")
    compared = "" if difference is None else f"   (largest difference from the run's own output: {difference:.1e})"
    output.put(f"{written['file']}{compared}")
