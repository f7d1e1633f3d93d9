"""Cures of dropout that the user's own forward pass calls as a function: milder, or told when it is evaluation."""

from dataclasses import replace
from typing import Any

from torch import nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.exchanging import Exchanging
from trainwell.clinic.cures.modules import MILD
from trainwell.clinic.dropout_calls import is_dropout, read
from trainwell.training.program import Program


class DropoutTold(Exchanging):
    """A model whose calls of dropout heed its mode, with a probability that is bounded.

    Args:
        model: whose ``forward`` calls the function.
        above, instead: probabilities above the first become the second.
    """

    def __init__(self, model: nn.Module, above: float = 1.0, instead: float = 1.0) -> None:
        super().__init__(model)
        self.above, self.instead = above, instead

    def mode(self) -> "_Told":
        return _Told(self.training, self.above, self.instead)

    def extra_repr(self) -> str:
        return f"dropout above {self.above:g} is {self.instead:g}, none in evaluation"


class _Told(TorchFunctionMode):
    def __init__(self, training: bool, above: float, instead: float) -> None:
        super().__init__()
        self.training, self.above, self.instead = training, above, instead

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if not is_dropout(func):
            return func(*args, **(kwargs or {}))
        call = read(args, kwargs or {})
        p = self.instead if call.probability > self.above else call.probability
        x = args[0] if args else (kwargs or {})["input"]
        return func(x, p, call.training and self.training)


def milder_calls(above: float, most: float) -> Cure:
    """Calls that drop more than ``above`` drop ``MILD``; ``most`` is what they dropped."""

    def apply(program: Program) -> Program:
        return replace(program, model=DropoutTold(program.model, above, MILD))

    return Cure(f"dropout {MILD:g}", (Change("model", f"dropout(x, {most:g})", f"dropout(x, {MILD:g})"),), apply)


def none_in_evaluation() -> Cure:
    """Calls that drop in training alone."""

    def apply(program: Program) -> Program:
        return replace(program, model=DropoutTold(program.model))

    change = Change("model", "F.dropout(x, p)", "F.dropout(x, p, self.training)")
    return Cure("tell dropout when it is training", (change,), apply)
