"""Cures of the model's last layer and of the loss."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.activations import leave_out_call
from trainwell.clinic.subject import Subject
from trainwell.theory.chain import Layer
from trainwell.training.program import Program

TINY = 1e-7
LOSSES = ("weight", "ignore_index", "reduction", "label_smoothing")


class OnOutput(nn.Module):
    """A loss of a function of the output.

    Args:
        loss: of (output, target).
        change: of the output.
    """

    def __init__(self, loss: Any, change: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.loss, self.change = loss, change

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        value: Tensor = self.loss(self.change(output), target)
        return value


class Balanced(nn.Module):
    """The mean over classes of a mean-reduced loss: every class counts alike, however rare.

    Args:
        loss: of (output, target), a mean over samples.
        weights: of each class code, mean 1 over the training samples.
    """

    weights: Tensor

    def __init__(self, loss: Any, weights: Tensor) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("weights", weights)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        labels = target.argmax(1) if target.dim() > 1 and target.shape[1] > 1 else target.reshape(len(target))
        codes = (labels > 0).long() if len(self.weights) == 2 else labels.long()
        total = output.new_zeros(())
        for code in codes.unique():
            rows = codes == code
            total = total + self.weights[code] * rows.sum() / len(codes) * self.loss(output[rows], target[rows])
        return total


def logarithm(p: Tensor) -> Tensor:
    """log p, bounded below."""
    return p.clamp(min=TINY).log()


def logit(p: Tensor) -> Tensor:
    """log p / (1 − p), bounded."""
    return torch.logit(p, eps=TINY)


def log_softmax(z: Tensor) -> Tensor:
    """Over the second axis."""
    return torch.log_softmax(z, 1)


def mean_of(values: Tensor) -> Tensor:
    """Of all numbers."""
    return values.mean()


def last_axis_second(z: Tensor) -> Tensor:
    """(N, T, C) to (N, C, T), as torch's losses of classes want it."""
    return z.movedim(-1, 1)


def change_loss(make: Callable[[Any], Any], name: str, before: Any, after: str) -> Cure:
    """Another loss, made of the old one."""

    def apply(program: Program) -> Program:
        return replace(program, loss=make(program.loss))

    return Cure(name, (Change("loss", shown(before), after),), apply)


def shown(loss: Any) -> str:
    """A loss in the user's words."""
    if isinstance(loss, nn.Module):
        return f"nn.{type(loss).__name__}()"
    return getattr(loss, "__name__", type(loss).__name__)


def of_output(subject: Subject, change: Callable[[Tensor], Tensor], name: str) -> Cure:
    """The loss of a function of the output."""
    old = shown(subject.program.loss)
    after = f"lambda output, y: {old.removesuffix('()')}()({name}, y)" if old.endswith("()") else f"of {name}"
    return change_loss(lambda loss: OnOutput(loss, change), f"give the loss {name}", subject.program.loss, after)


def another_loss(subject: Subject, loss: nn.Module) -> Cure:
    """This loss, with the weights and the reduction of the old one where both have them."""

    def make(old: Any) -> nn.Module:
        made = copy.deepcopy(loss)
        for name in LOSSES:
            if name != "weight" and isinstance(old, nn.Module) and hasattr(old, name) and hasattr(made, name):
                setattr(made, name, getattr(old, name))
        if type(old) is nn.NLLLoss and type(made) is nn.CrossEntropyLoss:
            made.weight = old.weight
        return made

    source = f"nn.{loss!r}" if type(loss).__module__.startswith("torch.nn") else repr(loss)
    return change_loss(make, f"use {source}", subject.program.loss, source)


class OfKnown(nn.Module):
    """A loss of yes and no that leaves out targets other than 0 and 1: there the answer itself is the target.

    Args:
        loss: of probabilities or of logits.
        logits: which of them.
    """

    def __init__(self, loss: Any, logits: bool) -> None:
        super().__init__()
        self.loss, self.logits = loss, logits

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        answer = (output.sigmoid() if self.logits else output).detach().reshape(target.shape).to(target.dtype)
        value: Tensor = self.loss(output, torch.where((target == 0) | (target == 1), target, answer))
        return value


def ignore_unknown(loss: Any, logits: bool) -> Cure:
    """Leave out what is neither 0 nor 1."""
    return change_loss(
        lambda old: OfKnown(old, logits), "leave targets other than 0 and 1 out of the loss", loss,
        "the loss where (y == 0) | (y == 1)",
    )  # fmt: skip


def ignore_label(loss: nn.Module, label: int) -> Cure:
    """Leave samples with this label out of the loss."""

    def make(old: Any) -> nn.Module:
        made = copy.deepcopy(old)
        made.ignore_index = label
        return made

    return change_loss(make, f"ignore the label {label}", loss, f"nn.{type(loss).__name__}(ignore_index={label})")


def editable(subject: Subject, layer: Layer | None) -> bool:
    """Whether this step is a module that runs once and nothing else holds, so that it can be replaced."""
    if layer is None or not layer.path or layer.path.endswith("()"):
        return False
    return sum(other.path == layer.path for other in subject.chain.layers) == 1


def replace_module(subject: Subject, path: str, module: nn.Module, name: str) -> Cure:
    """Another module at this path; a parametrized one is copied anew for each program."""
    before = subject.program.model.get_submodule(path)

    def apply(program: Program) -> Program:
        made = copy.deepcopy(module).train(program.model.training)
        device = next((p.device for p in program.model.parameters()), torch.device("cpu"))
        program.model.set_submodule(path, made.to(device))
        return program

    return Cure(name, (Change(f"model.{path}", f"nn.{before!r}", f"nn.{module!r}"),), apply)


def removable(subject: Subject, layer: Layer | None) -> bool:
    """Whether this is an activation that can be taken away: a module that runs once, or a call in ``forward``."""
    if layer is None or layer.kind != "activation":
        return False
    return layer.path.endswith("()") or editable(subject, layer)


def without(subject: Subject, layer: Layer) -> Cure:
    """Take the last activation away."""
    if layer.path.endswith("()"):
        return leave_out_call(subject, layer)
    return replace_module(subject, layer.path, nn.Identity(), f"take the last {layer.name} away")


def wider_head(subject: Subject, outputs: int) -> Cure | None:
    """As many outputs as there are classes, or None where the last layer is no ``nn.Linear`` of its own."""
    weighted = [layer for layer in subject.chain.layers if layer.parameters]
    if not weighted or not editable(subject, weighted[-1]):
        return None
    old = subject.program.model.get_submodule(weighted[-1].path)
    if type(old) is not nn.Linear:
        return None
    state = torch.get_rng_state()
    torch.manual_seed(subject.seed)
    new = nn.Linear(old.in_features, outputs, old.bias is not None)
    torch.set_rng_state(state)
    return replace_module(subject, weighted[-1].path, new, f"give the model {outputs} outputs")
