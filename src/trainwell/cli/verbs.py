"""The table of verbs, and the group that loads only the one that is called.

A verb is a file of this folder with a function of the verb's name (``lr`` in ``lr.py``). Its line here is the
function's first line, so that ``--help`` and completion answer without loading any verb.
"""

import importlib
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from trainwell.errors import InputError
from trainwell.nearest_name import nearest


@dataclass(frozen=True)
class Verb:
    """What the list of verbs says about one, without importing it."""

    summary: str  # the first line of the function's docstring
    panel: str  # heading in the list of verbs


TRAIN, LOOK, USE = "Train", "Look before you train", "Use a trained model"

VERBS = {
    "train": Verb("Train a model on your data: read, examine, fit, evaluate, report.", TRAIN),
    "resume": Verb("Go on with a run that was stopped, as if nothing had happened.", TRAIN),
    "examine": Verb("Say why your own program does not train, cure it, prove the cure.", LOOK),
    "explain": Verb("Tell what a code of the exam means, how it is found and what cures it.", LOOK),
    "summary": Verb("Show a model layer by layer: shapes and parameters.", LOOK),
    "lr": Verb("Find a learning rate by a short range test.", LOOK),
    "race": Verb("Race methods against each other on your data, on equal terms.", LOOK),
    "methods": Verb("List the methods: cost, memory, what they need, the rate and why.", LOOK),
    "theory": Verb("Predict signal and gradient of a net before it runs.", LOOK),
    "lab": Verb("Run the lectures' claims as experiments: prediction, measurement, control, verdict.", LOOK),
    "doctor": Verb("Say what this machine can do.", LOOK),
    "evaluate": Verb("Measure a trained model on its test part or on other data.", USE),
    "predict": Verb("Predict for a table, an image or a folder of images.", USE),
    "export": Verb("Write a trained model as ONNX or as a torch.export program.", USE),
    "report": Verb("Write a run's report anew and print where it is.", USE),
}


class Verbs(TyperGroup):
    """A group whose commands are read from ``VERBS``: as lines where they are listed, as code where one is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        verb = VERBS.get(cmd_name)
        return verb and TyperCommand(cmd_name, help=verb.summary, rich_help_panel=verb.panel)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name = args[0]
        if name in VERBS:
            return name, load(name), args[1:]
        if ctx.resilient_parsing:
            return None, None, args[1:]
        remedy = nearest(name, VERBS, f"The verbs are {', '.join(VERBS)}.")
        raise InputError(f"There is no verb {name!r}.", remedy)


def load(name: str) -> Any:
    """The command of a verb, with its options and its help."""
    application = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
    application.command(name)(getattr(importlib.import_module(f"trainwell.cli.{name}"), name))
    return typer.main.get_command(application)


def command_line() -> Any:
    """The whole command line, ready to parse words."""
    application = typer.Typer(cls=Verbs, rich_markup_mode="rich", pretty_exceptions_enable=False)
    application.callback()(trainwell)
    return typer.main.get_command(application)


def _print_version(wanted: bool) -> None:
    if wanted:
        from trainwell import __version__

        typer.echo(f"trainwell {__version__}")
        raise typer.Exit


def trainwell(
    version: bool = typer.Option(
        False, "--version", metavar="", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Makes deep networks train: from your data to a trained, resumable, documented model with one command.

    Start with

      trainwell train digits                       data that is always there
      trainwell train house.csv --target price     a table: types inferred
      trainwell train photos/                      images, one folder a class
      trainwell train --help                       every verb has examples
    """
