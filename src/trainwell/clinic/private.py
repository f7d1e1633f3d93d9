"""A program's own copy: model and loss copied, an optimizer that is an instance turned into a callable."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from trainwell.errors import InputError
from trainwell.training.program import Program, make_optimizer


class Rebuilt:
    """Makes an optimizer as a given one over a model's parameters of the same names: its class, groups and settings.

    A parameter that a cure has moved (``fc.weight`` → ``1.fc.weight``) stays in its group; one that a cure has added
    gets the settings of the first group. Parameters that are not the model's are left out: a step of theirs would
    change nothing that the model says.

    Args:
        optimizer: the instance.
        model: whose parameters it holds.
    """

    takes_model = True

    def __init__(self, optimizer: Optimizer, model: nn.Module) -> None:
        names = {id(p): name for name, p in model.named_parameters()}
        self.strangers = sum(id(p) not in names for group in optimizer.param_groups for p in group["params"])
        self.known = {name: tuple(p.shape) for name, p in model.named_parameters()}
        self.make: Any = type(optimizer)
        self.groups: list[dict[str, Any]] = [
            {
                **{k: v for k, v in group.items() if k not in ("params", "param_names")},
                "params": [names[id(p)] for p in group["params"] if id(p) in names],
            }
            for group in optimizer.param_groups
        ]

    def __call__(self, model: nn.Module | Iterable[nn.Parameter]) -> Optimizer:
        own = self._named(model)
        new = {name: tuple(p.shape) for name, p in own.items() if name not in self.known}
        moved = {name: moved_to(name, shape, new) for name, shape in self.known.items() if name not in own}
        groups = []
        for group in self.groups:
            names = [moved.get(name, name) for name in group["params"]]
            groups.append({**group, "params": [own[name] for name in names if name is not None]})
        settled = {*moved.values()}
        groups[0]["params"] += [own[name] for name in new if name not in settled]
        made: Optimizer = self.make(groups)
        return made

    def _named(self, model: nn.Module | Iterable[nn.Parameter]) -> dict[str, Tensor]:
        """Parameters by name; those given without names have the old ones where shapes and order are the same."""
        if isinstance(model, nn.Module):
            return dict(model.named_parameters())
        given = list(model)
        same = [tuple(p.shape) for p in given] == list(self.known.values())
        return dict(zip(self.known if same else map(str, range(len(given))), given, strict=True))


def moved_to(name: str, shape: tuple[int, ...], new: Mapping[str, tuple[int, ...]]) -> str | None:
    """The new name of a parameter whose module was wrapped: it ends alike, or holds the old name's parts in order.

    Args:
        name: the old one.
        shape: of the parameter.
        new: names that were not there before, with their shapes.

    Example:
        >>> moved_to("fc.weight", (2, 3), {"1.fc.weight": (2, 3), "0.mean": (3,)})
        '1.fc.weight'
    """
    alike = [other for other, size in new.items() if size == shape]
    for fits in (lambda other: other.endswith(f".{name}"), lambda other: _holds(other.split("."), name.split("."))):
        found = [other for other in alike if fits(other)]
        if found:
            return min(found, key=len)
    return None


def _holds(longer: list[str], shorter: list[str]) -> bool:
    rest = iter(longer)
    return all(part in rest for part in shorter)


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
    model = copy.deepcopy(program.model)
    loss = copy.deepcopy(program.loss) if isinstance(program.loss, nn.Module) else program.loss
    optimizer = program.optimizer
    if isinstance(optimizer, Optimizer):
        if "module" in getattr(optimizer, "needs", ()):
            raise InputError(
                f"{type(optimizer).__name__} is built from its model, so that a copy cannot be made of it.",
                "Give Program the optimizer as a callable with takes_model = True.",
            )
        optimizer = Rebuilt(optimizer, program.model)
    elif isinstance(optimizer, FunctionType) and (own := _of_the_original(optimizer, program.model, model)) is not None:
        optimizer = Rebuilt(own, program.model)
    scheduler = program.scheduler
    if scheduler is not None and not _is_factory(scheduler):
        scheduler = copy.copy(scheduler)  # an instance holds its optimizer: the simulation reads its rates alone
    return replace(program, model=model, loss=loss, optimizer=optimizer, scheduler=scheduler)


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


def seed_everything(seed: int) -> None:
    """Torch's global generator: what dropout and user code draw from."""
    torch.manual_seed(seed)
