"""Plain gradient descent of many small models at once, each with its own rate, with or without clipping.

The parameters of each model are one flat vector. Clipping every vector by its own norm (the clipper called ``layer``)
is then clipping by the norm of that model's whole gradient.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.optim.clipping import clipper


@dataclass(frozen=True)
class Descent:
    """What a crowd of models went through.

    Attributes:
        places: parameters at the start and after each step, shape (steps + 1, models, parameters).
        losses: before each step, shape (steps, models).
    """

    places: Tensor
    losses: Tensor


def descend_together(
    starts: Tensor, rates: Sequence[float], loss: Callable[[Tensor, int], Tensor], *, steps: int, limit: float | None
) -> Descent:
    """Descend from each row of ``starts``.

    Args:
        starts: parameters, shape (models, parameters).
        rates: of learning, one a model.
        loss: of (all parameters, step), one number a model.
        steps: how many.
        limit: largest norm of a model's gradient; None for plain descent.
    """
    models = [start.clone().requires_grad_() for start in starts]
    clip = None if limit is None else clipper("layer", limit)
    places, losses = [starts.clone()], list[Tensor]()
    for step in range(steps):
        values = loss(torch.stack(models), step)
        for model in models:
            model.grad = None
        values.sum().backward()
        if clip is not None:
            clip(models)
        with torch.no_grad():
            for model, rate in zip(models, rates, strict=True):
                if model.grad is not None:
                    model -= rate * model.grad
            places.append(torch.stack(models))
        losses.append(values.detach())
    return Descent(torch.stack(places), torch.stack(losses))
