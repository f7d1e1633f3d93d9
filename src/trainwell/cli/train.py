"""``trainwell train``: from data to a trained, evaluated, reported run."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainwell.cli import options, output, overrides, result
from trainwell.cli.display import shown

if TYPE_CHECKING:
    from trainwell.training import Recipe
    from trainwell.training.draft import Before


def train(
    context: typer.Context,
    data: options.Data = None,
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
    weights: options.Weights = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            parser=options.whole,
            metavar="N",
            help="Passes over the training data.",
            rich_help_panel=options.TRAINING,
            show_default=False,
        ),
    ] = None,
    batch_size: options.BatchSize = None,
    lr: Annotated[
        float | None,
        typer.Option(
            parser=options.decimal,
            metavar="RATE",
            help="Peak learning rate; found by a range test if left out.",
            rich_help_panel=options.TRAINING,
            show_default=False,
        ),
    ] = None,
    loss: options.Loss = None,
    metric: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:METRIC",
            help="Your own metric, a function of (truth, prediction).",
            rich_help_panel=options.TRAINING,
            show_default=False,
        ),
    ] = None,
    seed: options.Seed = None,
    device: options.Device = None,
    max_minutes: Annotated[
        float | None,
        typer.Option(
            parser=options.decimal,
            metavar="MINUTES",
            help="Time budget over all resumes; the run ends in order when it is used up.",
            rich_help_panel=options.TRAINING,
            show_default=False,
        ),
    ] = None,
    folds: Annotated[
        int | None,
        typer.Option(
            parser=options.whole,
            metavar="K",
            help="Cross-validate in K folds instead of one split.",
            rich_help_panel=options.TRAINING,
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Folder of the run; runs/NAME-N if left out.",
            rich_help_panel=options.OUTPUT,
            show_default=False,
        ),
    ] = None,
    no_exam: Annotated[
        bool,
        typer.Option(
            "--no-exam",
            metavar="",
            help="Train without examining first what keeps a network from training.",
            rich_help_panel=options.TRAINING,
        ),
    ] = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Train a model on your data: read, examine, fit, evaluate, report.

    Everything is a field of the recipe; the options below are short for the fields one sets most. The recipe that was
    used is written whole into the run's folder.

    Examples:

      trainwell train digits
      trainwell train house.csv --target price --drop id
      trainwell train photos/ --epochs 20 --model resnet20 -o runs/photos
      trainwell train photos/ --model timm:resnet18 --weights resnet18.safetensors
      trainwell train mnist --set optimizer.name=sgd --set schedule.name=cosine
      trainwell train data.csv --target y --model mynet.py:build --max-minutes 10
      trainwell train --recipe runs/house-1/recipe.toml --seed 1
    """
    chosen = overrides.read_recipe(context.params)
    from trainwell.clinic.watching import WatchedRun
    from trainwell.training import jobs

    watch = WatchedRun(in_run=True)
    with shown(quiet) as callbacks:
        if folds is not None:
            crossed = jobs.cross_validate(chosen.data.source, chosen, folds, callbacks, watch)
        else:
            run = jobs.train(chosen.data.source, chosen, callbacks=callbacks, before=_exam(chosen), watch=watch)
    if folds is None:
        result.put_run(run, json)
    elif json:
        output.put_json(crossed)
    else:
        output.put(*result.crossed_lines(crossed))


def _exam(recipe: "Recipe") -> "Before | None":
    if not recipe.training.exam:
        return None
    from trainwell.clinic.recipe_exam import RecipeExam

    return RecipeExam(recipe.given())
