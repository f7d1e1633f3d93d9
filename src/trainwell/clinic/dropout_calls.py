"""Calls of dropout as a function in a model's own forward pass: with which probability, and whether evaluation drops.

``F.dropout(x, 0.5)`` drops in evaluation too, as its ``training`` is True unless told otherwise.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import FUNCTIONS, canonical_name, kind_of

HALF = 0.5  # torch's own probability


@dataclass(frozen=True)
class DropoutCall:
    """One call of a dropout function.

    Attributes:
        probability: of dropping.
        training: whether it drops.
    """

    probability: float
    training: bool


def dropout_calls(subject: Subject, *, training: bool) -> list[DropoutCall]:
    """The calls of a forward pass of two samples in training or in evaluation; those inside torch's layers left out."""
    return calls_of(duplicate(subject.program.model), subject.two_inputs, training=training)


def heeds(subject: Subject, owner: str, name: str) -> bool:
    """Whether the calls' probability follows this attribute of the module at the path ``owner``."""
    model = duplicate(subject.program.model)
    other = getattr(model.get_submodule(owner), name) / 2
    setattr(model.get_submodule(owner), name, other)
    return any(call.probability == other for call in calls_of(model, subject.two_inputs, training=True))


def calls_of(model: nn.Module, x: Any, *, training: bool) -> list[DropoutCall]:
    """The same of a model that may be changed."""
    for path, module in list(model.named_modules()):
        if path and kind_of(module) == "dropout":
            model.set_submodule(path, nn.Identity())
    for module in model.modules():
        if isinstance(module, nn.RNNBase | nn.MultiheadAttention):
            module.dropout = 0.0
    with torch.no_grad(), torch.random.fork_rng(), _Listening() as heard:
        model.train(training)(x)
    return [call for call in heard.calls if call.probability > 0]


def read(args: tuple[Any, ...], kwargs: dict[str, Any]) -> DropoutCall:
    """Probability and mode of ``F.dropout(input, p=0.5, training=True)`` and of ``torch.dropout(input, p, train)``."""
    given = dict(zip(("p", "training"), args[1:3], strict=False)) | kwargs
    return DropoutCall(float(given.get("p", HALF)), bool(given.get("training", given.get("train", True))))


def is_dropout(function: Any) -> bool:
    """Whether it is one of torch's dropout functions."""
    return FUNCTIONS.get(canonical_name(function), ("", ""))[0] == "dropout"


class _Listening(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = list[DropoutCall]()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if is_dropout(func):
            self.calls.append(read(args, kwargs or {}))
        return func(*args, **(kwargs or {}))
