"""How a recipe's model starts: its initialization, pre-training, weights of another run, and what stays frozen."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from trainwell.data import Dataset
from trainwell.errors import InputError
from trainwell.init import apply_, lsuv_
from trainwell.training.batches import as_tensor, mapped
from trainwell.training.freezing import freeze_
from trainwell.training.pretraining import pretrain_
from trainwell.training.recipe import Recipe
from trainwell.training.transfer import init_from, use_pretrained_statistics_

UNIT_VARIANCE_ROWS = 256  # samples on which layer-sequential unit variance measures
Say = Callable[[str], None]
Tell = Callable[[str, float], None]


def start(
    model: Any, recipe: Recipe, dataset: Dataset, inputs: Any, *, say: Say | None = None, tell: Tell | None = None
) -> None:
    """Give the model the weights that the recipe's training begins with, in place.

    Args:
        model: a ``Predictor`` as it was built.
        recipe: its sections ``init`` and ``model`` are read.
        dataset: that it will be trained on.
        inputs: raw training inputs.
        say: is told what came out of it, in sentences.
        tell: is told the progress of pre-training.

    Raises:
        InputError: for weights of which none fit, or a scheme that the model cannot take.
    """
    say = say or (lambda text: None)
    if recipe.init.scheme != "model":
        _initialize(model, recipe.init.scheme, inputs)
    if recipe.init.pretrain:
        pretrained = pretrain_(
            model,
            inputs,
            epochs=recipe.init.pretrain,
            generator=torch.Generator().manual_seed(recipe.training.seed),
            tell=tell,
        )
        say(str(pretrained))
    if recipe.model.weights is not None:
        use_pretrained_statistics_(model)
        found = init_from(model, recipe.model.weights, schema=dataset.schema)
        say(found.sentence())
        for note in found.notes:
            say(note)


def _initialize(model: Any, scheme: str, inputs: Any) -> None:
    rows = mapped(first_rows(inputs, UNIT_VARIANCE_ROWS), lambda t: t)
    with torch.no_grad():
        example = model.prepare(rows)
    if scheme == "lsuv":
        lsuv_(model.body, example)
        return
    apply_(model.body, scheme, example=example[:2])


def first_rows(inputs: Any, count: int) -> Any:
    """The first samples as tensors."""
    if isinstance(inputs, dict):
        return {name: first_rows(values, count) for name, values in inputs.items()}
    return as_tensor(inputs[:count])


def freeze(model: nn.Module, recipe: Recipe) -> None:
    """Freeze what the recipe's patterns name.

    Raises:
        InputError: if a pattern matches nothing, or nothing is left to train.
    """
    if not recipe.model.freeze:
        return
    try:
        freeze_(model, recipe.model.freeze)
    except ValueError as error:
        raise InputError(f"model.freeze: {error}", "Name parameters of the model, or leave the pattern out.") from error
    if not any(p.requires_grad for p in model.parameters()):
        raise InputError(
            "model.freeze: nothing is left to train.", 'Leave the head out: model.freeze=\'["*", "!head*"]\'.'
        )
