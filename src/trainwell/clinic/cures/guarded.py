"""Cure of functions that leave the numbers: log of 0, the slope of a root at 0, exp of 100, a division by 0.

Each is asked a little inside of where it is defined, while the model or the loss runs.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.exchanging import Exchanging
from trainwell.nn.operations import canonical_name
from trainwell.training.program import Program

TINY, SMALL, HIGH, LOW = 1e-8, 1e-6, 50.0, -1e9


def _from(least: float) -> Callable[[Tensor], Tensor]:
    return lambda x: x.clamp(min=least)


def _off_zero(x: Tensor) -> Tensor:
    return torch.where(x.abs() < SMALL, torch.full_like(x, SMALL), x)


FIRST: dict[str, Callable[[Tensor], Tensor]] = {
    **dict.fromkeys(("log", "log2", "log10"), _from(SMALL)),
    **dict.fromkeys(("sqrt", "rsqrt"), _from(TINY)),
    "log1p": _from(SMALL - 1),
    "exp": lambda x: x.clamp(max=HIGH),
    **dict.fromkeys(("reciprocal", "rdiv"), _off_zero),  # 1 / x is the second
    **dict.fromkeys(("softmax", "log_softmax"), _from(LOW)),
}
FRAGILE = frozenset([*FIRST, "div"]) - {"log_softmax"}  # what may be the cause


class GuardedCalls(TorchFunctionMode):
    """Within it these functions stay where they are defined; ``called`` are the names of those that ran."""

    def __init__(self, *, change: bool = True) -> None:
        super().__init__()
        self.change, self.called = change, set[str]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name, kwargs = canonical_name(func), kwargs or {}
        if name not in FRAGILE and name not in FIRST:
            return func(*args, **kwargs)
        self.called.add("div" if name == "rdiv" else name)
        if not (self.change and args and isinstance(args[0], Tensor) and args[0].is_floating_point()):
            return func(*args, **kwargs)
        if name == "div" and len(args) > 1 and isinstance(args[1], Tensor) and args[1].is_floating_point():
            return func(args[0], _off_zero(args[1]), *args[2:], **kwargs)
        return func(FIRST[name](args[0]), *args[1:], **kwargs) if name in FIRST else func(*args, **kwargs)


class Guarded(Exchanging):
    """A model or a loss that runs within :class:`GuardedCalls`."""

    def mode(self) -> GuardedCalls:
        return GuardedCalls()


def guard(names: frozenset[str], *, model: bool, loss: bool) -> Cure:
    """Keep these functions, in the model's forward pass or in the loss, where they are defined."""

    def apply(program: Program) -> Program:
        changed: dict[str, Any] = {}
        if model:
            changed["model"] = Guarded(program.model)
        if loss:
            changed["loss"] = Guarded(program.loss)
        return replace(program, **changed)

    said = ", ".join(sorted(names))
    places = [place for place, there in (("model", model), ("loss", loss)) if there]
    changes = tuple(Change(place, said, "log(x.clamp(min=1e-6)), sqrt(x + 1e-8), a / (b + 1e-6) …") for place in places)
    return Cure(f"keep {said} in {' and '.join(places)} where they are defined", changes, apply)
