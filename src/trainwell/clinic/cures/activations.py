"""Cures that change activations: put one between linear layers, or another in the place of those that saturate or die.

An activation that is a module is replaced; one that is a function of torch is exchanged while the model runs, by
:class:`Exchanged`, counted in the order of the calls.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.exchanging import Exchanging
from trainwell.clinic.cures.initialization import drawn_anew, redraw_
from trainwell.clinic.cures.standing_in import StandsIn
from trainwell.clinic.cures.surgery import replace_modules
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import FUNCTIONS, canonical_name
from trainwell.theory.chain import Chain, Layer
from trainwell.training.program import Program

INSTEAD = {"relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "gelu": nn.GELU}


def _as_it_is(x: Tensor) -> Tensor:
    return x


NOTHING = "identity"
_FUNCTIONS = {
    "relu": F.relu, "leaky_relu": F.leaky_relu, "gelu": F.gelu, "sigmoid": torch.sigmoid, NOTHING: _as_it_is,
}  # fmt: skip
_PASSES_ON = ("norm", "dropout", "pool", "flatten", "scale")


def insert_activations(subject: Subject, paths: list[str]) -> Cure:
    """Put a ReLU behind these layers."""

    def apply(program: Program) -> Program:
        model = replace_modules(program.model, paths, lambda old: nn.Sequential(old, nn.ReLU()))
        return replace(program, model=model)

    model = subject.program.model
    changes = tuple(
        Change(f"model.{path}", str(old := model.get_submodule(path)), f"nn.Sequential({old}, nn.ReLU())")
        for path in paths
    )
    return Cure(f"nn.ReLU() behind {', '.join(paths)}", changes, apply)


class Bent(StandsIn):
    """A layer of a step written by hand, with a tanh behind it."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layer(x))


def bend_steps(subject: Subject, paths: list[str]) -> Cure:
    """Put a tanh behind layers that are called step by step."""

    def apply(program: Program) -> Program:
        return replace(program, model=replace_modules(program.model, paths, Bent))

    changes = tuple(Change(f"model.{path}", f"{path}(h)", f"torch.tanh({path}(h))") for path in paths)
    return Cure(f"torch.tanh of {', '.join(paths)}", changes, apply)


def exchange_activations(subject: Subject, names: Iterable[str], instead: str = "relu", *, redraw: bool = True) -> Cure:
    """Take another activation in all plain hidden places (not in gates, and not at the head).

    Args:
        subject: whose program is cured.
        names: classes of the activations to exchange: ``Sigmoid``, ``Tanh``.
        instead: ``relu``, ``leaky_relu`` or ``gelu``.
        redraw: draw the weights anew, for the new activation's gain.
    """
    names, seed = tuple(names), subject.seed
    chain = subject.chain
    places = [i for i in plain_hidden(chain) if chain.layers[i].name in names]
    modules = list(dict.fromkeys(chain.layers[i].path for i in places if not chain.layers[i].path.endswith("()")))
    heads = {layer.path for i, layer in enumerate(chain.layers) if layer.kind == "activation" and i not in places}
    calls = [i for i, layer in enumerate(chain.layers) if layer.kind == "activation"]
    inside = [path for path in modules if path not in heads]
    counted = tuple(n for n, i in enumerate(calls) if i in places and chain.layers[i].path not in inside)

    def apply(program: Program) -> Program:
        model = replace_modules(program.model, inside, lambda old: INSTEAD[instead]())
        if counted:
            model = Exchanged(model, counted, instead)
        if redraw:
            redraw_(model, program, seed=seed)
        return replace(program, model=model)

    shown = INSTEAD[instead]()
    changes = tuple(Change(f"model.{chain.layers[i].path}", chain.layers[i].name, f"nn.{shown}") for i in places)
    also = ", weights drawn anew" if redraw else ""
    changes += (drawn_anew(),) if redraw and changes else ()
    return Cure(f"{instead} in place of {' and '.join(names).lower()}{also}", changes, apply)


def plain_hidden(chain: Chain) -> list[int]:
    """Places of the activations between layers with weights, with only norms, dropout and pooling on the way."""
    readers: dict[int, list[int]] = {}
    for place, layer in enumerate(chain.layers):
        for read in layer.reads or (place - 1,):
            readers.setdefault(read, []).append(place)
    return [
        place
        for place, layer in enumerate(chain.layers)
        if layer.kind == "activation" and _from_weights(chain, place) and _to_weights(chain, readers, place)
    ]


def _from_weights(chain: Chain, place: int) -> bool:
    while True:
        reads = chain.layers[place].reads or (place - 1,)
        if len(reads) != 1 or reads[0] < 0:
            return False
        place = reads[0]
        layer = chain.layers[place]
        if layer.kind in ("linear", "conv"):
            return True
        if layer.kind not in _PASSES_ON:
            return False


def _to_weights(chain: Chain, readers: dict[int, list[int]], place: int) -> bool:
    todo, found = list(readers.get(place, [])), False
    while todo:
        number = todo.pop()
        layer: Layer = chain.layers[number]
        if layer.kind in ("linear", "conv"):
            found = True
        elif layer.kind in _PASSES_ON:
            todo += readers.get(number, [])
        else:
            return False
    return found


def leave_out_call(subject: Subject, layer: Layer) -> Cure:
    """Without one call of an activation function in the model's ``forward``."""
    change = Change(f"model.{layer.path}", f"{layer.name} of the output", "the output itself")
    name = f"take the last {layer.name} away"
    return _exchanging(subject, layer, NOTHING, name, (change, Change("model", "model", "without that call")))


def sigmoid_call(subject: Subject, layer: Layer) -> Cure:
    """A sigmoid in the place of one call of an activation function in the model's ``forward``."""
    change = Change(f"model.{layer.path}", f"{layer.name} of the output", "its sigmoid")
    return _exchanging(subject, layer, "sigmoid", f"a sigmoid in place of the last {layer.name}", (change,))


def _exchanging(subject: Subject, layer: Layer, instead: str, name: str, changes: tuple[Change, ...]) -> Cure:
    calls = [other for other in subject.chain.layers if other.kind == "activation"]
    place = next(i for i, other in enumerate(calls) if other is layer)

    def apply(program: Program) -> Program:
        return replace(program, model=Exchanged(program.model, (place,), instead))

    return Cure(name, changes, apply)


class Exchanged(Exchanging):
    """A model in which some calls of activation functions are of another function.

    Args:
        model: whose ``forward`` calls them.
        places: numbers of the calls, counted over all activations, modules too, in the order in which they run.
        instead: ``relu``, ``leaky_relu``, ``gelu``, ``sigmoid`` or ``identity``.
    """

    def __init__(self, model: nn.Module, places: tuple[int, ...], instead: str) -> None:
        super().__init__(model)
        self.places, self.instead = places, instead

    def mode(self) -> "_Exchange":
        return _Exchange(self.places, _FUNCTIONS[self.instead])

    def extra_repr(self) -> str:
        return f"calls {', '.join(map(str, self.places))}: {self.instead}"


class _Exchange(TorchFunctionMode):
    def __init__(self, places: tuple[int, ...], function: Any) -> None:
        super().__init__()
        self.places, self.function, self.count = frozenset(places), function, -1

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if FUNCTIONS.get(canonical_name(func), ("", ""))[0] != "activation":
            return func(*args, **(kwargs or {}))
        self.count += 1
        if self.count in self.places and args and isinstance(args[0], torch.Tensor):
            return self.function(args[0])
        return func(*args, **(kwargs or {}))
