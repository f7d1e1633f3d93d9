"""An example input for a schema, and the user's own model, for drawing models as chains of layers."""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.data import Schema
from trainwell.errors import InputError
from trainwell.training.recipe import Recipe
from trainwell.training.userfile import load_function

ROWS = 2  # batch normalization and torch.export want more than one


def example_of(schema: Schema, rows: int = ROWS) -> Any:
    """Encoded input of this schema, all zeros (missing categories: code 0)."""
    if schema.kind == "table":
        return {
            "numbers": torch.zeros(rows, len(schema.numbers())),
            "categories": torch.zeros(rows, len(schema.categories()), dtype=torch.int64),
        }
    dtype = torch.uint8 if schema.dtype == "uint8" else torch.float32
    return torch.zeros(rows, *schema.shape, dtype=dtype)


def own_model(name: str, recipe: Recipe) -> tuple[nn.Module, Tensor]:
    """A model that needs no data, with an input that fits its first layer.

    Raises:
        InputError: if no input can be guessed.
    """
    build = load_function(name)
    try:
        model = build()
    except TypeError as error:
        raise InputError(
            f"{name} cannot be called without arguments ({error}).",
            "Name the data instead, with --model FILE.py:FUNCTION.",
        ) from error
    for module in model.modules():
        if isinstance(module, nn.Linear):
            return model, torch.zeros(ROWS, module.in_features)
        if isinstance(module, nn.Conv2d):
            return model, torch.zeros(ROWS, module.in_channels, 32, 32)
        if isinstance(module, nn.Conv1d):
            return model, torch.zeros(ROWS, module.in_channels, 128)
        if isinstance(module, nn.Embedding):
            return model, torch.zeros(ROWS, 16, dtype=torch.int64)
    raise InputError(
        f"{name} has no layer that tells its input's shape.", "Name the data instead, with --model FILE.py:FUNCTION."
    )
