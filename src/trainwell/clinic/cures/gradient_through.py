"""Cures of what stops the gradient in the user's own forward pass: those calls are other ones while the model runs."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.exchanging import Exchanging
from trainwell.training.program import Program

STEPS, SIGNS = frozenset(["round", "floor", "ceil", "trunc"]), frozenset(["sign", "sgn"])
DATA = Tensor.data.__get__  # type: ignore[attr-defined]


class GradientThrough(Exchanging):
    """A model whose forward pass lets the gradient through.

    Args:
        model: whose ``forward`` stops it.
        steps: round, floor and their like pass the gradient on as it comes (straight through: Bengio and others 2013),
            and a sign is a tanh; else ``detach``, ``.data``, ``torch.tensor`` of a tensor and ``no_grad`` do nothing.
    """

    def __init__(self, model: nn.Module, *, steps: bool) -> None:
        super().__init__(model)
        self.steps = steps

    def mode(self) -> "_Straight | _Attached":
        return _Straight() if self.steps else _Attached()

    def extra_repr(self) -> str:
        return "straight through steps" if self.steps else "nothing detached"


class _Attached(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch._C._set_grad_enabled and torch.is_grad_enabled():
            return None
        if func is Tensor.detach or func == DATA:
            return args[0]
        if func is torch.tensor and args and isinstance(args[0], Tensor):
            return args[0].to(kwargs.get("dtype") or args[0].dtype).clone()
        return func(*args, **kwargs)


class _Straight(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        x, name = args[0] if args else None, getattr(func, "__name__", "")
        if name in SIGNS and isinstance(x, Tensor) and x.is_floating_point():
            return torch.tanh(x)
        output = func(*args, **(kwargs or {}))
        if name in STEPS and isinstance(x, Tensor) and isinstance(output, Tensor) and output.dtype == x.dtype:
            return x + (output - x).detach()
        return output


def leave_attached() -> Cure:
    """Nothing in the forward pass cuts the gradient off."""

    def apply(program: Program) -> Program:
        return replace(program, model=GradientThrough(program.model, steps=False))

    change = Change("model", "detach(), .data, no_grad() in forward", "without them")
    return Cure("take detach(), .data and no_grad() out of forward", (change,), apply)


def straight_through() -> Cure:
    """Steps pass the gradient on."""

    def apply(program: Program) -> Program:
        return replace(program, model=GradientThrough(program.model, steps=True))

    change = Change("model", "round(x), sign(x) in forward", "x + (round(x) - x).detach(), tanh(x)")
    return Cure("let the gradient through round(), floor() and sign()", (change,), apply)
