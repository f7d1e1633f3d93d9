"""The training program as its author wrote it: what the loop runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.binary_loss import BinaryLoss
from trainwell.objectives.class_loss import ClassLoss

TASKS = ("classification", "binary", "multilabel", "regression", "reconstruction", "sequence")


@dataclass(frozen=True)
class Program:
    """A model, its data and how it is trained.

    Semantics: a new permutation of the training samples each epoch when ``shuffle``; ``scheduler`` steps after every
    batch; ``clip_grad`` is a global norm; a leftover batch of one sample is dropped.

    Args:
        model: maps X of a batch to outputs.
        train: ``(X, y)`` or ``(X, y, weight)`` of tensors or arrays with the samples along the first dimension (X
        may be a
            tuple or dict of them), a ``torch.utils.data.Dataset`` or a ``DataLoader``.
        loss: callable of (output, target) that gives a scalar mean over the batch.
        optimizer: a ``torch.optim.Optimizer`` over the model's parameters, or a callable of the parameters; a callable
            with a true attribute ``takes_model`` is given the model instead.
        val: data of the same form, for validation after every epoch.
        batch_size: samples a step; a ``DataLoader`` brings its own.
        epochs: passes over the training data.
        shuffle: draw a new order every epoch; a ``DataLoader`` brings its own.
        scheduler: a callable of the optimizer that gives a scheduler, or a scheduler.
        clip_grad: largest global norm of the gradient, or an ``optim.Clipper``; None leaves it.
        task: one of ``TASKS``, guessed from loss and targets when None.
        step: ``step(model, batch) -> loss`` for programs that do not fit ``loss(model(x), y)``.
        objective: what a training step minimizes in place of ``loss(model(x), y)``, called as ``objective(model, x, y,
            loss, forward=…)`` with ``forward`` the model in the run's precision, and ``weight=…`` where samples have
            weights; validation uses the loss alone. See ``objectives.Objective``: penalties, mixing, attacks.
        growth: samples a step in each epoch (from 0), in place of ``batch_size``; see ``optim.batch_growth``.

    Raises:
        InputError: for a setting out of range or data whose parts differ in length.
    """

    model: nn.Module
    train: Any
    loss: Callable[..., Tensor]
    optimizer: torch.optim.Optimizer | Callable[..., torch.optim.Optimizer]
    val: Any = None
    batch_size: int = 32
    epochs: int = 1
    shuffle: bool = True
    scheduler: Any = None
    clip_grad: Any = None
    task: str | None = None
    step: Callable[[nn.Module, Any], Tensor] | None = None
    objective: Callable[..., Tensor] | None = None
    growth: Callable[[int], int] | None = None

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"Program: batch_size is {self.batch_size}.", "Give at least 1.")
        if self.epochs < 1:
            raise InputError(f"Program: epochs is {self.epochs}.", "Give at least 1.")
        if isinstance(self.clip_grad, float | int) and not self.clip_grad > 0:
            raise InputError(f"Program: clip_grad is {self.clip_grad}.", "Give a norm above 0, or None.")
        if self.task is not None and self.task not in TASKS:
            raise InputError(f"Program: no task is called {self.task!r}.", f"Choose one of {', '.join(TASKS)}.")
        if self.step is not None and self.objective is not None:
            raise InputError("Program: both step and objective are given.", "Give one: step computes the whole loss.")
        for name in ("train", "val"):
            _check_lengths(name, getattr(self, name))

    def guessed_task(self) -> str:
        """``task``, or what loss and targets say it is."""
        return self.task or guess_task(self.loss, self.train)


def make_optimizer(program: Program, model: nn.Module) -> torch.optim.Optimizer:
    """The program's optimizer over this model (``program.model`` or a copy of it), from a callable."""
    make: Any = program.optimizer
    return make(model) if getattr(make, "takes_model", False) else make(model.parameters())


def leaves(x: Any) -> Sequence[Any]:
    """The tensors or arrays that X consists of: X itself, or the members of a tuple or dict."""
    if isinstance(x, Mapping):
        return list(x.values())
    return list(x) if isinstance(x, tuple | list) and not np.isscalar(x[0]) else [x]


def _check_lengths(name: str, part: Any) -> None:
    if not isinstance(part, tuple | list):
        return
    if len(part) not in (2, 3):
        raise InputError(f"Program: {name} has {len(part)} parts.", "Give (X, y) or (X, y, weight).")
    lengths = [len(leaf) for leaf in leaves(part[0])] + [len(piece) for piece in part[1:] if piece is not None]
    if len(set(lengths)) > 1:
        raise InputError(
            f"Program: the parts of {name} have {', '.join(map(str, lengths))} samples.",
            "All must have the same number along their first dimension.",
        )
    if lengths[0] == 0:
        raise InputError(f"Program: {name} has no samples.", "Give at least one.")


def targets_of(part: Any) -> Tensor | None:
    """Targets as a tensor where they are in memory, else None (datasets, loaders)."""
    if isinstance(part, tuple | list) and len(part) in (2, 3) and part[1] is not None:
        return torch.as_tensor(np.asarray(part[1]) if not isinstance(part[1], Tensor) else part[1])
    return None


def guess_task(loss: Any, train: Any) -> str:
    """Tell the task from the loss's type, then from the targets' type and values."""
    inner = getattr(loss, "loss", loss)
    y = targets_of(train)
    if isinstance(inner, nn.CrossEntropyLoss | nn.NLLLoss | ClassLoss):
        return "classification" if y is None or y.dim() < 2 or y.is_floating_point() else "sequence"
    if isinstance(inner, nn.BCELoss | nn.BCEWithLogitsLoss | BinaryLoss):
        return "multilabel" if y is not None and y.dim() > 1 and y.shape[1] > 1 else "binary"
    if y is None:
        return "regression"
    if isinstance(inner, nn.MSELoss | nn.L1Loss | nn.HuberLoss | nn.SmoothL1Loss):
        x = leaves(train[0])[0]
        return "reconstruction" if tuple(x.shape) == tuple(y.shape) and y.dim() > 1 else "regression"
    return "regression" if y.is_floating_point() else "classification"
