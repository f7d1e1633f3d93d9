"""Which preparation of raw input stands in front of the body."""

import math
from collections.abc import Mapping
from typing import Any

import torch

from trainwell import nn as parts
from trainwell.data import Dataset, Scaling, Schema, fit_scaling
from trainwell.errors import InputError
from trainwell.training.recipe import Recipe


def preparation(schema: Schema, fitted: Any, scaling: Scaling | None = None) -> Any:
    """The module that turns a raw batch into the float tensor that the body takes; its ``shape`` is one sample's.

    Args:
        schema: kind, shape and columns of the data.
        fitted: ``data.statistics`` of the training part.
        scaling: ``data.fit_scaling`` of the training part; None, or one called standard: the default treatment, by
            channel or feature, and for tables with clipping and piecewise-linear encoding.
    """
    own = None if scaling is None or scaling.name == "standard" else _scaled(scaling)
    if schema.kind == "table":
        sizes = [len(column.categories) for column in schema.categories()]
        statistics = (fitted.mean, fitted.std, fitted.median, fitted.quantiles, fitted.missing)
        return parts.TableInput(*statistics, sizes, own if schema.numbers() else None)
    if own is not None:
        return own
    make = parts.ImageInput if schema.kind == "image" else parts.ArrayInput
    return make(fitted.mean, fitted.std, schema.shape)


def _scaled(scaling: Scaling) -> Any:
    if scaling.matrix is None:
        assert scaling.scale is not None
        return parts.AffineInput(scaling.offset, scaling.scale, scaling.shape, scaling.unit)
    return parts.LinearInput(scaling.offset, scaling.matrix, scaling.shape, scaling.output_shape, scaling.unit)


def scaling_of_weights(name: str, schema: Schema, state: Mapping[str, torch.Tensor]) -> Scaling | None:
    """The scaling that a model's weights hold, to build the same model again without its data.

    Args:
        name: one of ``data.SCALINGS``, from the recipe.
        schema: of the run.
        state: the state dict of its Predictor.

    Returns:
        The scaling, without its inverse; None for standard, whose statistics ``fitted`` carries.

    Raises:
        InputError: if the weights hold no such scaling.
    """
    table = schema.kind == "table"
    if name == "standard" or (table and not schema.numbers()):
        return None
    prefix = "prepare.scaled." if table else "prepare."
    found = {
        key: state[prefix + key].double().numpy() for key in ("offset", "scale", "matrix") if prefix + key in state
    }
    if "offset" not in found or len(found) != 2:
        raise InputError(
            f"data.scaling is {name!r}, but the weights hold no such scaling of the input.",
            "Use the recipe and the weights of one run.",
        )
    shape = (len(schema.numbers()),) if table else schema.shape
    output = shape
    if "matrix" in found and name not in ("zca", "cholesky"):
        output = (*shape[: len(shape) - found["offset"].ndim], len(found["matrix"]))
    return Scaling(name, shape, output, unit=255.0 if schema.dtype == "uint8" else 1.0, **found)


def scaling_of(recipe: Recipe, dataset: Dataset) -> Scaling | None:
    """The recipe's scaling, fitted on the training part; None for the standard one."""
    section = recipe.data
    if section.scaling == "standard":
        return None
    return fit_scaling(dataset, section.scaling, eps=section.scaling_eps, components=section.components)


def told(scaling: Scaling) -> str:
    """A sentence on what the scaling did to the inputs' condition."""
    before, after = scaling.condition_before, scaling.condition_after
    if math.isnan(before):
        return f"Inputs are scaled by {scaling.name}."
    return f"Inputs are scaled by {scaling.name}: their condition number κ goes from {before:.3g} to {after:.3g}."
