"""Arguments and options that several verbs share, each with its help."""

from pathlib import Path
from typing import Annotated

import typer

from trainwell.cli import completion


def whole(text: str) -> int:
    """A whole number from the command line."""
    try:
        return int(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a whole number.") from None


def decimal(text: str) -> float:
    """A number from the command line."""
    try:
        return float(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not a number.") from None


DATA, TRAINING, OUTPUT = "Data", "Training", "Output"

Data = Annotated[
    str | None,
    typer.Argument(
        metavar="DATA",
        help="digits, mnist, fashion-mnist, cifar10, cifar100, or a path: a table (.csv, .parquet), a folder of images "
        "by class, .npz, .npy, IDX. Left out: the recipe's data.source.",
        autocompletion=completion.data_names,
        show_default=False,
    ),
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, as `train` printed it.", show_default=False)
]

Recipe = Annotated[
    Path | None, typer.Option("--recipe", "-r", metavar="FILE", help="Recipe to start from (TOML).", show_default=False)
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        "-s",
        metavar="SECTION.FIELD=VALUE",
        help="Set a field of the recipe; may be repeated. An option of its own beats it.",
        autocompletion=completion.recipe_fields,
        show_default=False,
    ),
]

Target = Annotated[
    str | None,
    typer.Option(metavar="COLUMN", help="Column of the table to predict.", rich_help_panel=DATA, show_default=False),
]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="TASK",
        help="What to predict: classification, binary, multilabel or regression; guessed from the target if left out.",
        autocompletion=completion.tasks,
        rich_help_panel=DATA,
        show_default=False,
    ),
]
Keep = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN",
        help="Use a column that would be left out; may be repeated.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
Drop = Annotated[
    list[str] | None,
    typer.Option(
        metavar="COLUMN", help="Leave a column out; may be repeated.", rich_help_panel=DATA, show_default=False
    ),
]
Weight = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN", help="Column with the weight of each row.", rich_help_panel=DATA, show_default=False
    ),
]
Split = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help="How rows are split: random, stratified, group or time (the last two need --split-column).",
        autocompletion=completion.splits,
        rich_help_panel=DATA,
        show_default=False,
    ),
]
SplitColumn = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Column whose groups stay together, or whose times stay in order.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]
SkipBad = Annotated[
    bool,
    typer.Option(
        "--skip-bad",
        metavar="",
        help="Leave out damaged pictures, and say how many.",
        rich_help_panel=DATA,
    ),
]
DataRoot = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Where known data sets lie; otherwise $TRAINWELL_DATA, else they are downloaded.",
        rich_help_panel=DATA,
        show_default=False,
    ),
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME|FILE.py:BUILD",
        help="A model by name, or your function BUILD(inputs, outputs) that returns a torch module.",
        autocompletion=completion.models,
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Start from a run folder or a weights file; what fits is loaded, and a sentence says how much.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]
Seed = Annotated[
    int | None,
    typer.Option(
        parser=whole,
        metavar="N",
        help="Seed of weights, split and order of batches.",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="auto, cpu, cuda, cuda:1, mps.",
        autocompletion=completion.devices,
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(parser=whole, metavar="N", help="Samples in a batch.", rich_help_panel=TRAINING, show_default=False),
]
Loss = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE.py:LOSS",
        help="A loss by name, or your function of (output, target).",
        rich_help_panel=TRAINING,
        show_default=False,
    ),
]

Json = Annotated[
    bool,
    typer.Option(
        "--json", metavar="", help="Print one JSON object on stdout, everything else on stderr.", rich_help_panel=OUTPUT
    ),
]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", metavar="", help="Show only errors and the final result.", rich_help_panel=OUTPUT),
]
Traceback = Annotated[
    bool, typer.Option("--traceback", metavar="", help="Show where in the code an error arose.", rich_help_panel=OUTPUT)
]
