"""A wider net: the hidden layers with several times as many units, channels or entries, in any model that bears it.

The outputs of the hidden layers are widened, then two samples are run: where a layer is met that takes fewer numbers
than come to it, it is made anew to take them. A model whose own code counts on its widths is left as it is.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.surgery import replace_module
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.resizing import TAKING, WEIGHTED, arriving, inputs_of, outputs_of, resized
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

WIDE = 64  # units of the hidden layers afterwards
OF_KIND = ((nn.Embedding, 16), (nn.Conv1d, 32), (nn.Conv2d, 32), (nn.Conv3d, 16), (nn.RNNBase, 32))
MOST = 60  # layers that are made anew

TOLD = re.compile(r"hid|width|dim|units|size|channels|features|embed")  # attributes in which a model keeps its widths

Widths = dict[str, tuple[int | None, int | None]]  # path → numbers of inputs and outputs, where they change


@dataclass(frozen=True)
class Hidden:
    """A hidden layer with weights: its place, and its units, channels or entries."""

    path: str
    width: int


class _Narrow(Exception):
    """A layer is met that takes another number of inputs than come to it."""

    def __init__(self, path: str, inputs: int) -> None:
        self.path, self.inputs = path, inputs


def hidden_layers(subject: Subject) -> list[Hidden]:
    """The layers with weights that run before the last one, in the order in which they run.

    Of a model that ends otherwise than in a layer with weights (in a product of embeddings, say), all of them.
    """
    model, x = duplicate(subject.program.model), subject.two_inputs
    ran = list[tuple[str, nn.Module, Any]]()
    hooks = [
        module.register_forward_hook(lambda made, _, out, path=path: ran.append((path, made, out)))
        for path, module in model.named_modules()
        if isinstance(module, WEIGHTED)
    ]
    output = _answer(model, x)
    for hook in hooks:
        hook.remove()
    if ran and not isinstance(ran[-1][1], nn.RNNBase | nn.Embedding) and _is_answer(ran[-1][2], output):
        last = ran[-1][0]
        ran = [layer for layer in ran if layer[0] != last]
    widths = {path: outputs_of(module) for path, module, _ in ran}
    return [Hidden(path, width) for path, width in widths.items() if width is not None]


def widened(subject: Subject, hidden: list[Hidden]) -> Cure | None:
    """More units in every narrow one of these hidden layers; a hidden layer where there is none.

    None for models that it does not fit.
    """
    with suppress(Exception):  # a model whose own code counts on its widths
        if not hidden:
            return _first_hidden(subject)
        least = min(layer.width for layer in hidden)
        narrow = [layer for layer in hidden if layer.width == least]
        for few in (hidden, narrow, [layer for layer in narrow if not _offset(subject, layer)]):
            wanted = {h.path: w for h in few if (w := _wanted(subject, h)) > h.width}
            widths = _fitting(subject, wanted)
            if widths is not None:
                return _cure(subject, wanted, widths)
    return None


def _offset(subject: Subject, layer: Hidden) -> bool:
    """Whether it is a table of one number a row that starts at zero: something that is added."""
    table = subject.module(layer.path)
    return isinstance(table, nn.Embedding) and layer.width == 1 and not bool(table.weight.any())


def _wanted(subject: Subject, hidden: Hidden) -> int:
    module = subject.program.model.get_submodule(hidden.path)
    return next((width for kind, width in OF_KIND if isinstance(module, kind)), WIDE)


def _cure(subject: Subject, wanted: Mapping[str, int], widths: Widths) -> Cure:
    def apply(program: Program) -> Program:
        model = program.model
        for path, (inputs, outputs) in widths.items():
            old = outputs_of(model.get_submodule(path))
            model = replace_module(model, path, partial(resized, inputs=inputs, outputs=outputs))
            _tell(model, path, old, outputs)
        return replace(program, model=model)

    most = max(wanted.values())
    return Cure(f"{most} units in the hidden layers", tuple(_changes(subject, widths)), apply)


def _changes(subject: Subject, widths: Widths) -> Iterator[Change]:
    """The layers as they are and as they will be, in the model's order."""
    with torch.random.fork_rng(devices=[]):
        for path, module in subject.program.model.named_modules():
            if path in widths:
                inputs, outputs = widths[path]
                yield Change(f"model.{path}", str(module), f"nn.{resized(module, inputs, outputs)}")


def _fitting(subject: Subject, wanted: Mapping[str, int]) -> Widths | None:
    """All changes of width that go with the wanted ones, or None where the model does not run with them."""
    if not wanted:
        return None
    x, model = subject.two_inputs, duplicate(subject.program.model)
    before = _answer(model, x)
    widths: Widths = {path: (None, width) for path, width in wanted.items()}
    for path, width in wanted.items():
        old = outputs_of(model.get_submodule(path))
        model = replace_module(model, path, partial(resized, outputs=width))
        _tell(model, path, old, width)
    for _ in range(MOST):
        try:
            with _watched(model):
                after = _answer(model, x)
            return widths if _shape(after) == _shape(before) else None
        except _Narrow as met:
            widths[met.path] = (met.inputs, widths.get(met.path, (None, None))[1])
            model = replace_module(model, met.path, partial(resized, inputs=met.inputs))
        except Exception:  # the model's own code counts on its widths
            return None
    return None


def _tell(model: nn.Module, path: str, old: int | None, new: int | None) -> None:
    """Change the width where the layer's owner keeps it as a number, ``self.hidden_size = 1``."""
    owner = model.get_submodule(path.rpartition(".")[0])
    for name, value in list(vars(owner).items()):
        if new is not None and type(value) is int and value == old and TOLD.search(name.lower()):
            setattr(owner, name, new)


@contextmanager
def _watched(model: nn.Module) -> Iterator[None]:
    """Raise where a layer meets another number of inputs than it takes."""

    def look(module: nn.Module, args: tuple[Any, ...], path: str) -> None:
        known = inputs_of(module)
        if known is not None and args and isinstance(args[0], Tensor) and arriving(module, args[0]) != known:
            raise _Narrow(path, arriving(module, args[0]))

    hooks = [
        module.register_forward_pre_hook(lambda m, args, path=path: look(m, args, path))
        for path, module in model.named_modules()
        if isinstance(module, TAKING)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _answer(model: nn.Module, x: Any) -> Any:
    training = model.training
    with torch.no_grad():
        output = model.eval()(x)
    model.train(training)
    return output


def _shape(output: Any) -> Any:
    return output.shape if isinstance(output, Tensor) else None


def _is_answer(last: Any, output: Any) -> bool:
    """Whether what the last layer with weights gives is the model's answer, but for its shape and an activation."""
    return isinstance(last, Tensor) and isinstance(output, Tensor) and last.numel() == output.numel()


def _first_hidden(subject: Subject) -> Cure | None:
    """A hidden layer before the only one of an ``nn.Sequential``."""
    model = subject.program.model
    if type(model) is nn.Linear:
        change = Change("model", str(model), f"nn.Sequential(Linear(…, {WIDE}), ReLU(), Linear({WIDE}, …))")
        return Cure("a hidden layer", (change,), lambda program: replace(program, model=_bent(program.model)))
    if not isinstance(model, nn.Sequential) or any(any(True for _ in child.children()) for child in model):
        return None
    places = [i for i, child in enumerate(model) if isinstance(child, nn.Linear)]
    if len(places) != 1:
        return None
    change = Change(f"model.{places[0]}", str(model[places[0]]), f"Linear(…, {WIDE}), ReLU(), Linear({WIDE}, …)")
    return Cure("a hidden layer", (change,), lambda program: _with_hidden(program, places[0]))


def _with_hidden(program: Program, place: int) -> Program:
    model = program.model
    assert isinstance(model, nn.Sequential)
    model[place] = _bent(model[place])
    return program


def _bent(old: nn.Module) -> nn.Module:
    assert isinstance(old, nn.Linear)
    first, last = nn.Linear(old.in_features, WIDE), nn.Linear(WIDE, old.out_features, old.bias is not None)
    return nn.Sequential(first, nn.ReLU(), last).to(old.weight.device, old.weight.dtype)
