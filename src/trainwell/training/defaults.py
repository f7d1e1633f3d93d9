"""What is decided from the data when the recipe leaves it open: by the kind of data, its size and the task.

The numbers were measured; ``bench/defaults.md`` has the runs.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from trainwell.data import Dataset
from trainwell.errors import InputError
from trainwell.optim.methods import method
from trainwell.training.names import check_names
from trainwell.training.recipe import Recipe

TINY_IMAGE = 15  # pixels a side up to which a shift by one pixel changes what a picture shows
ENOUGH_STEPS = 600  # of a network on few pictures
LARGE_TABLE = 5000  # training rows from which a table's network needs little dropout

LEAST_STEPS = 150  # of a run on vectors: 20 epochs of fewer than some 250 rows are too few


@dataclass(frozen=True)
class Defaults:
    """One line of the table; see :func:`defaults_for`. ``options`` are fields of the recipe's section ``model``."""

    model: str
    optimizer: str
    weight_decay: float
    batch_size: int
    epochs: int
    warmup: float
    label_smoothing: float = 0.0
    flip: bool = False
    pad: int = 0
    cutout: int = 0
    options: dict[str, Any] = field(default_factory=dict)


def defaults_for(dataset: Dataset) -> Defaults:
    """The defaults for this data set."""
    rows = len(dataset.splits.train)
    if dataset.kind == "image":
        return _images(dataset, rows)
    large = rows > LARGE_TABLE
    batch = even_batch(rows, _power_of_two(rows / 64, 32, 512))
    options = {"width": 256, "dropout": 0.1} if large else {"width": 128, "dropout": 0.3}
    epochs = max(25 if large else 15, math.ceil(LEAST_STEPS * batch / max(1, rows)))
    return Defaults("mlp", "adamw", 1e-2, batch, epochs, 0.1, options={"depth": 2, **options})


def _images(dataset: Dataset, rows: int) -> Defaults:
    channels, height, width = dataset.schema.shape
    tiny, colour = max(height, width) <= TINY_IMAGE, channels >= 3
    batch = even_batch(rows, _power_of_two(rows / 20, 16, 64 if tiny else 256))
    epochs = max(10, min(60, round(ENOUGH_STEPS * batch / max(1, rows))))
    return Defaults(
        model="cnn",
        optimizer="sgd",
        weight_decay=5e-4,
        batch_size=batch,
        epochs=epochs,
        warmup=0.25,
        label_smoothing=0.05 if dataset.task in ("classification", "binary") else 0.0,
        flip=colour and not tiny,
        pad=0 if tiny else max(2, round(min(height, width) / 16)),
        options={} if colour and not tiny else {"width": 32},
    )


def even_batch(rows: int, wanted: int) -> int:
    """The size near ``wanted`` that cuts the rows into nearly equal batches, so that no small one is left over."""
    if rows <= wanted:
        return max(1, rows)
    return math.ceil(rows / round(rows / wanted))


def _power_of_two(value: float, low: int, high: int) -> int:
    return int(min(high, max(low, 2 ** round(math.log2(max(1.0, value))))))


def own_rate(method: str, parameters: int) -> float:
    """Peak rate of a run that is too short to pay for a range test.

    Adam's best rate falls as 1/width (Yang et al. 2022, arXiv:2203.03466), hence as 1/√parameters; 1e-3 is the mlp's of
    width 256. Measured there: widths 16, 32, 256 and 1024 do best at 3e-3 to 1e-2, 6e-3, 1e-3 and 3e-4.

    Args:
        method: ``adamw`` or ``sgd``.
        parameters: number of trainable ones.
    """
    if method == "sgd":
        return 0.05
    return float(f"{min(5e-3, max(2e-4, 0.5 / math.sqrt(parameters))):.2g}")


COUPLED_DECAY, DECOUPLED_DECAY = 5e-4, 1e-2  # He et al. 2016's; Loshchilov & Hutter 2019's


def _optimizer(recipe: Recipe, given: Defaults) -> dict[str, Any]:
    """The open fields of the recipe's section ``optimizer``.

    Raises:
        InputError: for a method that no model and data can feed.
    """
    section = recipe.optimizer
    name = given.optimizer if section.name == "auto" else section.name
    chosen = method(name)
    missing = chosen.needs & {"composition", "sparse_gradients"}
    if missing:
        raise InputError(
            f"optimizer.name is {name!r}, which needs {', '.join(sorted(missing))}.",
            "A model and its data do not give that; use it from Python.",
        )
    changes: dict[str, Any] = {"name": name}
    if section.weight_decay == "auto":
        own = {"none": 0.0, "coupled": COUPLED_DECAY, "decoupled": DECOUPLED_DECAY}[chosen.decay]
        changes["weight_decay"] = given.weight_decay if name == given.optimizer else own
    if section.momentum is None and name == "sgd":
        changes["momentum"] = 0.9
    if section.beta2 is None and name == "adamw":
        changes["beta2"] = 0.99
    return changes


def resolve(recipe: Recipe, dataset: Dataset) -> Recipe:
    """The recipe with every open field decided that needs no measurement.

    Raises:
        InputError: if a setting does not fit the data (a batch larger than the training part).
    """
    check_names(recipe)
    given = defaults_for(dataset)
    if recipe.data.scaling in ("pca", "pca_whiten") and dataset.kind == "image":
        given = replace(given, model="mlp", options={})  # principal components are no picture any more
    rows = len(dataset.splits.train)
    optimizer = _optimizer(recipe, given)
    training: dict[str, Any] = {}
    if recipe.training.epochs is None:
        training["epochs"] = given.epochs
    if recipe.training.batch_size is None:
        whole = "full_batch" in (method(optimizer["name"]).needs)
        training["batch_size"] = rows if whole else min(given.batch_size, rows)
    elif recipe.training.batch_size > rows:
        raise InputError(
            f"training.batch_size is {recipe.training.batch_size}, but the training part has {rows} samples.",
            f"Give at most {rows}.",
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
    own_steps = method(optimizer["name"]).finds_length or optimizer["name"].startswith("schedule_free")
    schedule: dict[str, Any] = {}
    if recipe.schedule.name == "auto":
        schedule["name"] = "constant" if own_steps else "one-cycle"
    if recipe.schedule.warmup == "auto":
        schedule["warmup"] = 0.0 if own_steps else given.warmup
    model: dict[str, Any] = {}
    if recipe.model.name in ("auto", given.model):
        model = {"name": given.model}
        model |= {k: v for k, v in given.options.items() if getattr(recipe.model, k) is None}
    data = {"seed": recipe.training.seed} if recipe.data.seed is None else {}
    return recipe.model_copy(
        update={
            "data": recipe.data.with_(**data),
            "model": recipe.model.with_(**model),
            "schedule": recipe.schedule.with_(**schedule),
            "training": recipe.training.with_(**training),
            "optimizer": recipe.optimizer.with_(**optimizer),
            "loss": recipe.loss.with_(**loss),
            "augmentation": recipe.augmentation.with_(**augmentation),
        }
    )
