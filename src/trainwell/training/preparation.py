"""Which preparation of raw input stands in front of the body."""

from typing import Any

from trainwell import nn as parts
from trainwell.data import Schema


def preparation(schema: Schema, fitted: Any) -> Any:
    """The module that turns a raw batch into the float tensor that the body takes; its ``shape`` is one sample's.

    Args:
        schema: kind, shape and columns of the data.
        fitted: ``data.statistics`` of the training part.
    """
    if schema.kind == "image":
        return parts.ImageInput(fitted.mean, fitted.std, schema.shape)
    if schema.kind == "table":
        sizes = [len(column.categories) for column in schema.categories()]
        return parts.TableInput(fitted.mean, fitted.std, fitted.median, fitted.quantiles, fitted.missing, sizes)
    return parts.ArrayInput(fitted.mean, fitted.std, schema.shape)
