"""One forward and backward pass of a program in training mode: what it gives, or how and where it fails."""

import math
import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from trainwell.clinic.private import built
from trainwell.training.batches import endless, mapped
from trainwell.training.modes import frozen, set_training
from trainwell.training.program import Program
from trainwell.training.step import Forward, parts

NO_GRADIENT, NO_TENSOR = "the loss has no gradient", "the loss is no tensor"


@dataclass(frozen=True)
class FirstStep:
    """One forward and backward pass in training mode, on a copy.

    Attributes:
        error: what was raised, ``IndexError: Target 3 is out of bounds.``, or "".
        stage: where: ``batch``, ``forward``, ``loss``, ``backward``, ``optimizer`` or "".
        output: the model's, detached; None where there is none.
        y: targets of the batch.
        loss: its value, nan where there is none.
        gradients: by parameter name; a parameter without a gradient is absent.
    """

    error: str
    stage: str
    output: Any
    y: Any
    loss: float
    gradients: dict[str, Tensor]

    @classmethod
    def failed(cls, error: Exception, stage: str) -> "FirstStep":
        """One that raised this."""
        text = f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0]}"
        return cls(text, stage, None, None, math.nan, {})


def first_step(program: Program, batches: Any, seed: int) -> FirstStep:
    """Take it, with a private program, in place."""
    torch.manual_seed(seed)
    output, y, loss, stage = None, None, math.nan, "batch"
    device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            batch = next(endless(batches))
            stage = "forward"
            set_training(program.model, frozen(program.model))
            forward = Forward(program, "float32", device)
            if program.step is not None or program.objective is not None:
                value = forward.loss(program.model, batch)
            else:
                x, y, *weight = parts(batch)
                output = program.model(x)
                stage = "loss"
                value = forward.loss_of(output, y, weight[0] if weight else None)
            loss = _number(value, output)
            stage = "backward"
            value.backward()
            stage = "optimizer"
            built(program)
            stage = ""
        except Exception as error:  # whatever a sick program raises is what we ask for
            return replace(FirstStep.failed(error, stage), output=_detached(output), y=y, loss=loss)
    gradients = {name: p.grad for name, p in program.model.named_parameters() if p.grad is not None}
    return FirstStep("", "", _detached(output), y, loss, gradients)


def _number(value: Any, output: Any) -> float:
    """The loss, where it is one that a backward pass can begin at."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{NO_TENSOR} but a {type(value).__name__}: it has to stay one for the gradient")
    if not value.requires_grad:
        cut = isinstance(output, Tensor) and output.requires_grad
        why = "the loss cuts the model's output off (detach, item, argmax, numpy, no_grad)"
        if not cut:
            why = "the model's output depends on no parameter that requires one (frozen, detached, or under no_grad)"
        raise RuntimeError(f"{NO_GRADIENT}: {why}")
    return float(value)


def _detached(output: Any) -> Any:
    try:
        return mapped(output, lambda t: t.detach())
    except TypeError:  # a tuple of a class of its own
        return tuple(_detached(entry) for entry in output) if isinstance(output, tuple) else None
