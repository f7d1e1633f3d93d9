"""A program's own copy: model and loss copied, an optimizer that is an instance turned into a callable."""

import copy
from collections.abc import Iterable
from dataclasses import replace
from types import FunctionType
from typing import Any

from torch import nn
from torch.optim import Optimizer

from trainwell.clinic.duplicate import Memo, duplicate, optimizer_over, rebound
from trainwell.training.program import Program, make_optimizer
from trainwell.training.rebuilt_optimizer import Rebuilt, rebuilder


class Adjusted:
    """Makes the optimizer of another callable with some settings changed in every group.

    Args:
        make: the program's optimizer, a callable.
        settings: of the groups; ``lr`` is that of the first group, the others follow in proportion.
    """

    takes_model = True

    def __init__(self, make: Any, **settings: Any) -> None:
        self.make, self.settings = make, settings

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        optimizer = _made(self.make, model)
        adjust(optimizer, **self.settings)
        return optimizer


class EveryParameter:
    """Makes the optimizer of another callable; parameters of the model that it leaves out join its first group.

    Parameters that are not the model's are dropped, and groups that are left empty.

    Args:
        make: the program's optimizer, a callable.
    """

    takes_model = True

    def __init__(self, make: Any) -> None:
        self.make = make

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        given = model if isinstance(model, nn.Module) else list(model)
        optimizer = _made(self.make, given)
        own = {id(p): p for p in (given.parameters() if isinstance(given, nn.Module) else given)}
        for group in optimizer.param_groups:
            group["params"] = [p for p in group["params"] if id(p) in own]
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        missing = [p for key, p in own.items() if key not in held and p.requires_grad]
        optimizer.param_groups[0]["params"].extend(missing)
        return optimizer


def adjust(optimizer: Optimizer, **settings: Any) -> None:
    """Change settings of all groups of an optimizer; ``lr`` is that of the first, the others follow in proportion."""
    rate = settings.pop("lr", None)
    first = optimizer.param_groups[0]["lr"]
    for group in optimizer.param_groups:
        if rate is not None:
            ratio = float(group["lr"]) / float(first) if first else 1.0
            group["lr"] = group["initial_lr"] = rate * ratio
        group.update(settings)
    if rate is not None:
        optimizer.defaults["lr"] = rate
    optimizer.defaults.update(settings)


def private(program: Program) -> Program:
    """A program that shares nothing that training changes with this one; data are shared and must not be changed.

    Raises:
        InputError: for an optimizer that cannot be made again for a copy.
    """
    memo: Memo = {}
    model = duplicate(program.model, memo)
    optimizer = program.optimizer
    if isinstance(optimizer, Optimizer):
        optimizer = _remade(optimizer, program.model)
    elif isinstance(optimizer, FunctionType) and (own := _of_the_original(optimizer, program.model, model)) is not None:
        optimizer = _remade(own, program.model)
    theirs = {name: rebound(getattr(program, name), memo) for name in ("loss", "step")}
    theirs |= {name: copy.deepcopy(getattr(program, name), memo) for name in ("objective", "clip_grad")}
    scheduler = program.scheduler
    if scheduler is not None and not _is_factory(scheduler):
        scheduler = copy.copy(scheduler)  # an instance holds its optimizer: the simulation reads its rates alone
    return replace(program, model=model, optimizer=optimizer, scheduler=scheduler, **theirs)


class Duplicated(Rebuilt):
    """Makes an optimizer of a class that torch does not know: its constructor may ask for more than groups.

    Args:
        optimizer: the instance.
        model: whose parameters it holds.
    """

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        super().__init__(optimizer, model)
        self.optimizer, self.model, self.over = optimizer, model, model
        self.make = self._copy

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        self.over = model if isinstance(model, nn.Module) else self.model
        self.own = self._named(model)
        return super().__call__(model)

    def _copy(self, groups: list[dict[str, Any]]) -> Optimizer:
        memo: Memo = {id(p): self.own[name] for name, p in self.model.named_parameters() if name in self.own}
        made = optimizer_over(self.optimizer, {**memo, id(self.model): self.over})
        for group, settled in zip(made.param_groups, groups, strict=True):
            group.update(settled)
        return made


def _remade(optimizer: Optimizer, model: nn.Module) -> Rebuilt:
    made = rebuilder(optimizer, model)
    known = type(optimizer).__module__.split(".")[0] in ("torch", "trainwell")
    return made if known else Duplicated(optimizer, model)


def _of_the_original(make: FunctionType, original: nn.Module, copied: nn.Module) -> Optimizer | None:
    """The optimizer, where the user's function takes parameters of the original model whatever it is given."""
    try:
        given = _made(make, copied)
        held = {id(p) for group in given.param_groups for p in group["params"]}
        return given if held & {id(p) for p in original.parameters()} else None
    except Exception:  # what such a function raises is found out where it is used
        return None


def built(program: Program) -> Optimizer:
    """The optimizer of a private program over its model."""
    return make_optimizer(program, program.model)


def _made(make: Any, model: Any) -> Optimizer:
    if getattr(make, "takes_model", False):
        return make(model)
    return make(model.parameters() if isinstance(model, nn.Module) else model)


def _is_factory(scheduler: Any) -> bool:
    return not hasattr(scheduler, "step")


def parameters_covered(program: Program) -> set[str]:
    """Names of the model's parameters that the optimizer moves."""
    optimizer = built(program)
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    return {name for name, p in program.model.named_parameters() if id(p) in held}
