"""Plain stochastic gradient descent for the experiments: no recipe, nothing that a claim does not speak of."""

import math
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from trainwell.nn.measured_signal import mean_and_error as over_first_axis

Loss = Callable[[Tensor, Tensor], Tensor]


def descend(
    model: nn.Module,
    X: Tensor,
    y: Tensor,
    *,
    rate: float,
    steps: int,
    batch: int,
    generator: torch.Generator,
    loss: Loss = cross_entropy,
    momentum: float = 0.0,
    decay: float = 0.0,
    parameters: Iterable[nn.Parameter] | None = None,
) -> list[float]:
    """Train in place by SGD with batches drawn without replacement within each pass over the data.

    Args:
        model: is put into training mode.
        X: inputs, first axis the samples.
        y: targets.
        rate: of learning, constant.
        steps: batches.
        batch: samples of each, at most all of them.
        generator: of the order of the samples.
        loss: of (output, target), a mean over the batch.
        momentum: torch's form.
        decay: weight decay, torch's form.
        parameters: those to train; all that require a gradient, if None.

    Returns:
        The loss of every batch; it ends early, with that loss as its last, where the loss is not finite.
    """
    model.train()
    trained = [p for p in (model.parameters() if parameters is None else parameters) if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=rate, momentum=momentum, weight_decay=decay)
    losses, order, place = list[float](), torch.empty(0, dtype=torch.int64), 0
    for _ in range(steps):
        if place + batch > len(order):
            order, place = torch.randperm(len(X), generator=generator), 0
        rows = order[place : place + batch]
        place += batch
        optimizer.zero_grad(set_to_none=True)
        value = loss(model(X[rows]), y[rows])
        losses.append(float(value.detach()))
        if not math.isfinite(losses[-1]):
            break
        value.backward()
        optimizer.step()
    return losses


@torch.no_grad()
def accuracy(model: nn.Module, X: Tensor, y: Tensor, *, batch: int = 1000) -> float:
    """Share of the samples whose largest output is their class, in evaluation mode; 0 where outputs are not finite."""
    model.eval()
    right = 0
    for rows, target in zip(X.split(batch), y.split(batch), strict=True):
        output = model(rows)
        right += int(((output.argmax(1) == target) & output.isfinite().all(1)).sum())
    return right / len(X)


def mean_and_error(values: ArrayLike | Sequence[float], axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Mean over an axis of independent runs (two or more), and its standard error."""
    return over_first_axis(np.moveaxis(np.asarray(values, float), axis, 0))
