"""From the options of a verb to a recipe: an option beats ``--set``, ``--set`` beats the file, whatever their order."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainwell.training import Recipe

FIELDS = {
    "data": "data.source",
    "target": "data.target",
    "task": "data.task",
    "keep": "data.keep",
    "drop": "data.drop",
    "weight": "data.weight",
    "split": "data.split",
    "split_column": "data.split_column",
    "skip_bad": "data.skip_bad",
    "data_root": "data.root",
    "model": "model.name",
    "weights": "model.weights",
    "loss": "loss.name",
    "lr": "optimizer.lr",
    "epochs": "training.epochs",
    "batch_size": "training.batch_size",
    "metric": "training.metric",
    "seed": "training.seed",
    "device": "training.device",
    "max_minutes": "training.max_minutes",
    "folder": "output.folder",
}


def overrides(options: Mapping[str, Any]) -> list[str]:
    """``section.field=value`` of every option that was given, those of ``--set`` first.

    Args:
        options: names of a verb's parameters → values; None, False and empty lists are options that were not given.

    Example:
        >>> overrides({"epochs": 3, "set_": ["training.epochs=9"], "target": None})
        ['training.epochs=9', 'training.epochs=3']
    """
    given = {FIELDS[name]: value for name, value in options.items() if name in FIELDS and _is_given(value)}
    off = ["training.exam=false"] if options.get("no_exam") else []
    return [*(options.get("set_") or ()), *(f"{field}={toml(value)}" for field, value in given.items()), *off]


def read_recipe(options: Mapping[str, Any]) -> "Recipe":
    """The recipe of ``--recipe`` (or the default one) with all overrides."""
    from trainwell.training import Recipe

    start = Recipe.read(options["recipe"]) if options.get("recipe") else Recipe()
    return start.override(overrides(options))


def toml(value: Any) -> str:
    """A value as TOML writes it: a column called 007 stays text.

    Example:
        >>> toml("007"), toml(["a", "b"]), toml(0.1), toml(True)
        ('"007"', '["a", "b"]', '0.1', 'true')
    """
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, str | Path):
        return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _is_given(value: Any) -> bool:
    return value is not None and value is not False and value != [] and value != ()
