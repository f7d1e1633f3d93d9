"""Cures of the targets: their codes, shape, type and scale. Training and validation targets change alike."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.inputs import OfBody
from trainwell.clinic.cures.rows import with_targets
from trainwell.nn.predictor import Predictor, Unstandardize
from trainwell.objectives.standardized import StandardizedLoss
from trainwell.training.program import Program


def changed(change: Callable[[Tensor], Tensor], name: str, before: Any, after: Any) -> Cure:
    """Another function of the targets, in training and validation."""

    def apply(program: Program) -> Program:
        return with_targets(program, change)

    return Cure(name, (Change("train.y", before, after), Change("val.y", before, after)), apply)


def relabel(values: Tensor, *, dtype: torch.dtype | None = None, column: bool | None = None) -> Cure:
    """Sorted label values become 0, 1, 2, …

    Args:
        values: the labels that occur, ascending.
        dtype: of the new targets; the old one if None.
        column: True gives (N, 1), False gives (N,), None keeps the shape.
    """
    last = len(values) - 1

    def change(y: Tensor) -> Tensor:
        codes = torch.searchsorted(values.to(y.device), y.contiguous()).clamp(max=last).to(dtype or y.dtype)
        if column is None:
            return codes
        return codes.reshape(-1, 1) if column else codes.reshape(-1)

    shown = f"{_number(values[0])} … {_number(values[-1])}"
    return changed(change, f"relabel to 0 … {last}", f"labels {shown}", f"labels 0 … {last}")


def zero_for_minus_one() -> Cure:
    """−1 becomes 0."""

    def change(y: Tensor) -> Tensor:
        return y.clamp(min=0)

    return changed(change, "write 0 for −1 in the targets", "−1 and 1", "0 and 1")


def rescale_to_unit(low: float, high: float) -> Cure:
    """(y − low) / (high − low), in 0 … 1."""

    def change(y: Tensor) -> Tensor:
        return (y - low) / (high - low)

    return changed(change, "scale the targets to 0 … 1", f"{low:g} … {high:g}", "0 … 1")


def reshape(shape: tuple[int, ...], before: tuple[int, ...], dtype: torch.dtype | None = None) -> Cure:
    """Targets of this shape, and type where one is given, a sample."""

    def change(y: Tensor) -> Tensor:
        return y.reshape(len(y), *shape).to(dtype or y.dtype)

    source = f"y.reshape({', '.join(map(str, ('len(y)', *shape)))})"
    name = f"give the targets the shape (N{''.join(f', {n}' for n in shape)}{',' if not shape else ''})"
    return changed(change, name, f"shape (N{''.join(f', {n}' for n in before)})", source)


def cast(dtype: torch.dtype, before: torch.dtype) -> Cure:
    """Targets of another type."""

    def change(y: Tensor) -> Tensor:
        return y.to(dtype)

    return changed(change, f"turn the targets into {dtype}", str(before), str(dtype))


def codes_of_rows() -> Cure:
    """One-hot rows become class codes."""

    def change(y: Tensor) -> Tensor:
        return y.argmax(1)

    return changed(change, "give class codes in place of one-hot rows", "one-hot rows", "y.argmax(1)")


def standardize_targets(mean: Tensor, std: Tensor) -> Cure:
    """The loss is computed on (y − mean) / std; the model still answers in the target's own unit."""

    def apply(program: Program) -> Program:
        model = Predictor(nn.Identity(), program.model, Unstandardize(mean.numpy(), std.numpy()))
        model.train(program.model.training).to(mean.device)
        loss = StandardizedLoss(program.loss, mean, std).to(mean.device)  # type: ignore[arg-type]
        return replace(program, model=model, loss=loss, optimizer=OfBody(program.optimizer))

    m, s = _number(mean.double().mean()), _number(std.double().mean())
    changes = (
        Change("model", "model", f"nn.Sequential(model, trainwell.nn.Unstandardize({m}, {s}))"),
        Change("loss", "loss", f"trainwell.objectives.StandardizedLoss(loss, {m}, {s})"),
    )
    return Cure("standardize the targets inside model and loss", changes, apply)


def _number(value: Tensor) -> str:
    return f"{float(value):.4g}"
