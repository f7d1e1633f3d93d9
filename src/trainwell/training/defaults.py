"""What is decided from the data when the recipe leaves it open: by the kind of data, its size and the task.

The numbers were measured; ``bench/defaults.md`` has the runs.
"""

import math
from dataclasses import dataclass
from typing import Any

from trainwell.data import Dataset
from trainwell.errors import InputError
from trainwell.training.recipe import Recipe

SMALL_IMAGE = 16  # pixels a side up to which pictures are treated like scanned digits


@dataclass(frozen=True)
class Defaults:
    """One line of the table; see :func:`defaults_for`."""

    model: str
    optimizer: str
    weight_decay: float
    batch_size: int
    epochs: int
    label_smoothing: float
    flip: bool = False
    pad: int = 0
    cutout: int = 0


def defaults_for(dataset: Dataset) -> Defaults:
    """The defaults for this data set."""
    rows = len(dataset.splits.train)
    classes = dataset.task in ("classification", "binary")
    if dataset.kind == "image":
        channels, height, width = dataset.schema.shape
        small = max(height, width) <= SMALL_IMAGE
        batch = _power_of_two(rows / 24, 16, 64 if small else 256)
        epochs = min(100, max(10 if rows > 10_000 else 30, round(1500 * batch / rows))) if rows else 10
        pad = max(1, round(min(height, width) / 16))
        return Defaults("cnn", "sgd", 5e-4, batch, epochs, 0.1 if classes else 0.0, channels == 3 and not small, pad)
    batch = _power_of_two(rows / 30, 16, 256)
    epochs = min(200, max(12, round(math.sqrt(rows) * 40 * batch / rows))) if rows else 12
    return Defaults("mlp", "adamw", 1e-2, batch, epochs, 0.0)


def _power_of_two(value: float, low: int, high: int) -> int:
    return int(min(high, max(low, 2 ** round(math.log2(max(1.0, value))))))


def resolve(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with every open field decided that needs no measurement.

    Raises:
        InputError: if a setting does not fit the data (a batch larger than the training part).
    """
    given = defaults_for(dataset)
    rows = len(dataset.splits.train)
    training: dict[str, Any] = {}
    if recipe.training.epochs is None:
        training["epochs"] = given.epochs
    if recipe.training.batch_size is None:
        training["batch_size"] = min(given.batch_size, rows)
    elif recipe.training.batch_size > rows:
        raise InputError(
            f"training.batch_size is {recipe.training.batch_size}, but the training part has {rows} samples.",
            f"Give at most {rows}.",
        )
    optimizer: dict[str, Any] = {}
    if recipe.optimizer.name == "auto":
        optimizer["name"] = given.optimizer
    if recipe.optimizer.weight_decay == "auto":
        name = optimizer.get("name", recipe.optimizer.name)
        optimizer["weight_decay"] = (
            given.weight_decay if name == given.optimizer else {"sgd": 5e-4, "adamw": 1e-2}[name]
        )
    loss: dict[str, Any] = {}
    if recipe.loss.name == "auto":
        loss["name"] = {"regression": "mse", "multilabel": "bce"}.get(dataset.task, "cross_entropy")
    if recipe.loss.label_smoothing == "auto":
        loss["label_smoothing"] = given.label_smoothing
    augmentation = {}
    if dataset.kind == "image":
        options = {"flip": given.flip, "pad": given.pad, "cutout": given.cutout}
        augmentation = {k: v for k, v in options.items() if getattr(recipe.augmentation, k) is None}
    data = {"seed": recipe.training.seed} if recipe.data.seed is None else {}
    return recipe.model_copy(
        update={
            "data": recipe.data.with_(**data),
            "model": recipe.model.with_(name=given.model) if recipe.model.name == "auto" else recipe.model,
            "training": recipe.training.with_(**training),
            "optimizer": recipe.optimizer.with_(**optimizer),
            "loss": recipe.loss.with_(**loss),
            "augmentation": recipe.augmentation.with_(**augmentation),
        }
    )
