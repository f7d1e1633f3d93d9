"""Cures of what the optimizer does not move: unfreeze, give it all parameters, register layers in plain lists."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.private import EveryParameter
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program


def train_everything(subject: Subject, missing: Collection[str]) -> Cure:
    """Give the optimizer all parameters; those it lacked get the settings of its first group."""

    def apply(program: Program) -> Program:
        return replace(program, optimizer=EveryParameter(program.optimizer))

    before = f"{len(subject.covered)} of {len(list(subject.program.model.parameters()))} tensors"
    change = Change("optimizer.params", before, "model.parameters()")
    return Cure(f"give the optimizer all parameters ({len(missing)} more)", (change,), apply)


class Emptying:
    """Makes the optimizer of another callable, whose ``zero_grad`` is torch's own.

    Args:
        make: the program's optimizer, a callable.
    """

    takes_model = True

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        optimizer = EveryParameter(self.make)(model)
        optimizer.zero_grad = partial(Optimizer.zero_grad, optimizer)  # type: ignore[method-assign]
        return optimizer


def empty_gradients() -> Cure:
    """Let ``zero_grad`` do what torch's does."""

    def apply(program: Program) -> Program:
        return replace(program, optimizer=Emptying(program.optimizer))

    change = Change("optimizer.zero_grad", "leaves the gradients", "torch.optim.Optimizer.zero_grad")
    return Cure("empty the gradients every step", (change,), apply)


def unfreeze(names: Collection[str]) -> Cure:
    """Let these parameters require a gradient, and give them to the optimizer."""

    def apply(program: Program) -> Program:
        own = dict(program.model.named_parameters())
        for name in names:
            own[name].requires_grad_(True)
        return replace(program, optimizer=EveryParameter(program.optimizer))

    changes = tuple(Change(f"model.{name}.requires_grad", False, True) for name in sorted(names))
    return Cure(f"unfreeze {len(names)} parameter tensors", changes, apply)


def register_lists(paths: Collection[str]) -> Cure:
    """Turn plain lists and dicts of layers into ``nn.ModuleList`` and ``nn.ModuleDict``: the model knows them then.

    Args:
        paths: of the attributes, ``body.layers``.
    """

    def apply(program: Program) -> Program:
        for path in paths:
            owner_path, _, name = path.rpartition(".")
            owner = program.model.get_submodule(owner_path)
            value = getattr(owner, name)
            delattr(owner, name)
            setattr(owner, name, nn.ModuleDict(value) if isinstance(value, dict) else nn.ModuleList(value))
        return replace(program, optimizer=EveryParameter(program.optimizer))

    changes = tuple(Change(f"model.{path}", "list", "nn.ModuleList") for path in sorted(paths))
    return Cure(f"register the layers in {', '.join(sorted(paths))}", changes, apply)


def plain_lists(model: nn.Module) -> dict[str, list[nn.Module]]:
    """Attributes that hold modules in a plain list, tuple or dict: path → the modules."""
    found = {}
    for path, module in model.named_modules():
        for name, value in vars(module).items():
            members = list(value.values()) if isinstance(value, dict) else value
            if name.startswith("_") or not isinstance(members, list | tuple) or not members:
                continue
            if all(isinstance(member, nn.Module) for member in members):
                known = set(model.modules())
                if not all(member in known for member in members):
                    found[f"{path}.{name}" if path else name] = list(members)
    return found
