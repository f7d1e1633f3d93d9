"""Which fields of a recipe make the change that a cure makes to a program.

A cure is a list of changes, each with a target. Where every one of them has a field, the cure can be taken by the
recipe; else it can only be told.
"""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from trainwell import nn as parts
from trainwell.clinic.cure import Change, Cure
from trainwell.init import SCHEMES
from trainwell.training.recipe import Recipe

SETTINGS = {  # targets that are settings of the program: what the recipe then says is what was tried
    "optimizer.lr": "optimizer.lr",
    "optimizer.momentum": "optimizer.momentum",
    "optimizer.weight_decay": "optimizer.weight_decay",
    "batch_size": "training.batch_size",
    "clip_grad": "optimizer.clip_norm",
    "epochs": "training.epochs",
}
TOLD = frozenset(["training.epochs", "loss.class_weights"])  # not taken: they cost time, or accuracy for recall
NAMES = {  # cures of a whole model or loss, by what they do
    "weigh the classes": ("loss.class_weights", "balanced"),
    "standardize the inputs inside the model": ("data.scaling", "standard"),
    "whiten the inputs inside the model": ("data.scaling", "zca"),
}
ACTIVATIONS = {"nn.ReLU()": "relu", "nn.LeakyReLU(": "leaky_relu", "nn.GELU(": "gelu"}
NORMS = {"BatchNorm": "batch", "LayerNorm(": "layer", "GroupNorm(": "group"}
Field = tuple[str, Any]


def fields_of(cure: Cure, recipe: Recipe) -> dict[str, Any] | None:
    """``section.field`` → value of all that the cure changes; None where something of it has no field."""
    found: dict[str, Any] = {}
    for change in cure.changes:
        made = _field(change, cure.name, recipe)
        if made is None:
            return None
        found[made[0]] = made[1]
    if "model.activation" in found:
        found.pop("init.scheme", None)  # our models draw their weights for their activation
    return {name: value for name, value in found.items() if value != recipe.value(name)} or None


def is_setting(fields: Iterable[str]) -> bool:
    """Whether the recipe with these fields makes just the program that was tried."""
    return set(fields) <= set(SETTINGS.values())


def _field(change: Change, name: str, recipe: Recipe) -> Field | None:
    if change.target in SETTINGS:
        setting = SETTINGS[change.target]
        return setting, _as_number(change.after, setting)
    if change.target in ("loss", "model"):
        return next((field for known, field in NAMES.items() if known in name), None)
    if not change.target.startswith("model.") or recipe.model.name not in parts.MODELS:
        return None  # nothing of a net of the user's own
    return next((field for read in _OF_MODELS if (field := read(change, recipe)) is not None), None)


def _as_number(value: Any, field: str) -> float | int:
    return int(value) if field.startswith("training.") else float(value)


def _drawn(change: Change, recipe: Recipe) -> Field | None:
    """Weights drawn anew by a scheme."""
    if change.target != "model.weights":
        return None
    scheme = str(change.after).partition(", '")[2].partition("'")[0]
    return ("init.scheme", scheme) if scheme in SCHEMES else None


def _activation(change: Change, recipe: Recipe) -> Field | None:
    value = next((value for shown, value in ACTIVATIONS.items() if str(change.after).startswith(shown)), None)
    return ("model.activation", value) if value and "activation" in _options(recipe) else None


def _norm(change: Change, recipe: Recipe) -> Field | None:
    after = str(change.after)
    value = next((value for shown, value in NORMS.items() if shown in after), None)
    return (
        ("model.norm", value) if value and after.startswith("nn.Sequential(") and "norm" in _options(recipe) else None
    )


def _dropout(change: Change, recipe: Recipe) -> Field | None:
    if not change.target.endswith(".p") or "dropout" not in _options(recipe):
        return None
    return "model.dropout", float(change.after)


def _options(recipe: Recipe) -> set[str]:
    """What can be asked of the recipe's model."""
    return set(inspect.signature(getattr(parts, recipe.model.name)).parameters)


_OF_MODELS: tuple[Callable[[Change, Recipe], Field | None], ...] = (_drawn, _norm, _activation, _dropout)
