"""``trainwell race``: several methods on the same data, on equal terms."""

import contextlib
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.cli import completion, options, output, overrides, race_table
from trainwell.cli.display import Callback, Live, shown

RACE = "Race"
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}


def duration(text: str) -> float:
    """Seconds of ``90``, ``60s``, ``2m``, ``1.5h``."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(s|m|min|h)?", text.strip())
    if not found or float(found[1]) == 0:
        raise typer.BadParameter(f"{text!r} is no duration above 0. Write 60s, 2m or 1.5h.")
    return float(found[1]) * UNITS[found[2] or ""]


def race(
    context: typer.Context,
    data: options.Data = None,
    methods: Annotated[
        str,
        typer.Option(
            metavar="NAME,NAME,…",
            help="Methods; `trainwell methods` lists them.",
            autocompletion=completion.methods,
            rich_help_panel=RACE,
        ),
    ] = "sgd,adamw",
    budget: Annotated[
        float | None,
        typer.Option(
            parser=duration,
            metavar="TIME",
            help="Training time of all methods together, tuning included: 60s, 2m, 1h. Default 60s.",
            rich_help_panel=RACE,
            show_default=False,
        ),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            parser=options.whole,
            metavar="N",
            help="Give each method N steps instead of a time.",
            rich_help_panel=RACE,
            show_default=False,
        ),
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            metavar="NAME=RATE,…",
            help="Rates that are not to be tuned.",
            rich_help_panel=RACE,
            show_default=False,
        ),
    ] = None,
    recipe: options.Recipe = None,
    set_: options.Set = None,
    target: options.Target = None,
    task: options.Task = None,
    keep: options.Keep = None,
    drop: options.Drop = None,
    weight: options.Weight = None,
    split: options.Split = None,
    split_column: options.SplitColumn = None,
    skip_bad: options.SkipBad = False,
    data_root: options.DataRoot = None,
    model: options.Model = None,
    batch_size: options.BatchSize = None,
    loss: options.Loss = None,
    seed: options.Seed = None,
    device: options.Device = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder for race.html and race.json; races/NAME-N if left out.",
            rich_help_panel=options.OUTPUT,
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Race methods against each other on your data, on equal terms.

    All start with the same weights and see the same batches. The rate of each is tuned with the same effort, then the
    methods take turns until each has had its share of the time (or its steps).

    Examples:

      trainwell race digits --methods sgd,adamw,lion --budget 30s
      trainwell race house.csv --target price --methods adamw,muon --steps 500
      trainwell race mnist --model lenet5 --methods sgd,adamw --budget 5m -o races/lenet
    """
    chosen = overrides.read_recipe(context.params)
    given = read_rates(rates)
    from trainwell.search.from_recipe import new_folder
    from trainwell.search.racing import race as run

    place = new_folder(chosen)
    names = [name.strip() for name in methods.split(",") if name.strip()]
    with watched(quiet) as callbacks:
        found = run(chosen, names, budget=budget, steps=steps, rates=given, folder=place, callbacks=callbacks)
    if json:
        output.put_json(found.to_dict())
    else:
        output.put(*race_table.race_lines(found), "", f"Report        {place / 'race.html'}")
    if found.stopped is not None:
        output.complain(f"Stopped by {signal.Signals(found.stopped).name} before the end: this is what had been run.")
        raise typer.Exit(128 + found.stopped)


def read_rates(text: str | None) -> dict[str, float]:
    """``sgd=0.1,adamw=1e-3`` as a dict.

    Raises:
        typer.BadParameter: for anything else.
    """
    found = {}
    for part in (text or "").split(",") if text else ():
        name, equals, value = part.partition("=")
        rate = options.decimal(value) if equals else 0.0
        if not 0 < rate < float("inf"):
            raise typer.BadParameter(f"--rates: {part!r} is not NAME=RATE with a rate above 0.")
        found[name.strip()] = rate
    return found


@contextlib.contextmanager
def watched(quiet: bool) -> Iterator[tuple[Callback, ...]]:
    """Callbacks as ``display.shown`` gives them, on a terminal with the time that is left."""
    if quiet or not sys.stderr.isatty():
        with shown(quiet) as callbacks:
            yield callbacks
    else:
        with contextlib.redirect_stdout(sys.stderr), Stages() as live:
            yield (live,)


class Stages(Live):
    """A bar a stage, with the time left where the share that is done is known."""

    def _start(self, columns: list[Any], description: str, total: float | None, completed: float = 0) -> None:
        from rich.progress import TextColumn, TimeRemainingColumn

        left = [TextColumn("{task.percentage:>3.0f} %"), TimeRemainingColumn(), TextColumn("left")]
        super()._start([*columns, *(left if total else [])], description, total, completed)
