"""Cures of what was made and never used: a layer run behind the one made before it, positions added to the tokens."""

import re
from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.standing_in import StandsIn
from trainwell.clinic.cures.surgery import replace_module
from trainwell.clinic.subject import Subject
from trainwell.clinic.taking_part import look
from trainwell.nn.operations import kind_of
from trainwell.training.program import Program
from trainwell.training.step import batch_length

PLACES = re.compile(r"pos|place|(^|[._])(w?pe|time)([._]|$)")


class Placed(StandsIn):
    """A layer of tokens with learned positions added to what it gives.

    Args:
        layer: gives (…, T, D), or (T, N, D).
        places: L ≥ T vectors of D numbers, (L, D) or (1, L, D), or an embedding of them.
        dim: of T, from the end.
    """

    def __init__(self, layer: nn.Module, places: nn.Parameter | nn.Embedding, dim: int) -> None:
        super().__init__(layer)
        self.places, self.dim = places, dim

    def forward(self, *given: Any, **named: Any) -> Tensor:
        """The layer's output plus the first T positions; the output as it is where it is longer than they are."""
        h: Tensor = self.layer(*given, **named)
        places = self.places.weight if isinstance(self.places, nn.Embedding) else self.places
        places = places.reshape(-1, places.shape[-1])
        length = h.shape[self.dim] if h.dim() >= -self.dim else len(places) + 1
        if length > len(places):
            return h
        return h + places[:length].reshape(length, *[1] * (-self.dim - 2), -1)


def use_layer(subject: Subject, unused: Collection[str]) -> Iterator[Cure]:
    """Yield a cure that runs the unused linear layers which keep their width, each behind the layer made before it."""
    model = subject.program.model
    layers = [(path, module) for path, module in model.named_modules() if kind_of(module) == "linear"]
    places = []
    for (before, first), (path, second) in pairwise(layers):
        idle = f"{path}.weight" in unused
        if idle and f"{before}.weight" not in unused and _fits(first, second):
            places.append((before, path))
    if not places:
        return

    def apply(program: Program) -> Program:
        model = program.model
        for before, path in places:
            model = _run_behind(model, before, path)
        return replace(program, model=model)

    changes = tuple(
        Change(f"model.{path}", "never called", f"called after {before} and nn.ReLU()") for before, path in places
    )
    yield Cure(f"use the layer {', '.join(path for _, path in places)}", changes, apply)


def _fits(first: nn.Module, second: nn.Module) -> bool:
    return isinstance(first, nn.Linear) and isinstance(second, nn.Linear) and (
        first.out_features == second.in_features == second.out_features
    )  # fmt: skip


def _run_behind(model: nn.Module, before: str, path: str) -> nn.Module:
    both = nn.Sequential(model.get_submodule(before), nn.ReLU(), model.get_submodule(path))
    return replace_module(model, before, lambda old: both)


def add_positions(subject: Subject, unused: Collection[str]) -> Iterator[Cure]:
    """Yield a cure that adds the first unused positions to the tokens' vectors, or to the inputs' projection."""
    model, samples = subject.program.model, batch_length(subject.some_batches(1)[0])
    modules, calls = dict(model.named_modules()), look(subject).calls
    calls = [c for c in calls if isinstance(modules[c.path], nn.Embedding)] + calls
    for name in unused:
        owner, _, last = name.rpartition(".")
        path = owner if isinstance(modules[owner], nn.Embedding) and last == "weight" else name
        shape = tuple(model.get_parameter(name).shape)
        if not (path == owner or type(modules[owner]).__module__.partition(".")[0] != "torch"):
            continue
        for call in calls:
            dim = _time(call.shape, samples)
            if dim and call.path and call.path != path and _positions(name, shape, call.shape[dim], call.shape[-1]):
                yield _placing(path, call.path, dim, str(modules[call.path]))
                return


def _time(shape: tuple[int, ...], samples: int) -> int:
    """The dimension of time of (N, T, D) or (T, N, D), from the end; 0 for others."""
    if len(shape) != 3:
        return 0
    return -2 if shape[0] == samples else -3 if shape[1] == samples else 0


def _positions(name: str, shape: tuple[int, ...], length: int, width: int) -> bool:
    table = len(shape) == 2 or (len(shape) == 3 and shape[0] == 1)
    fits = table and shape[-1] == width and shape[-2] >= length > 1
    return fits and (shape[-2] <= length + 1 or bool(PLACES.search(name.lower())))


def _placing(places: str, tokens: str, dim: int, layer: str) -> Cure:
    def apply(program: Program) -> Program:
        owner, _, last = places.rpartition(".")
        held: Any = getattr(program.model.get_submodule(owner), last)
        return replace(program, model=replace_module(program.model, tokens, lambda old: Placed(old, held, dim)))

    change = Change(f"model.{tokens}", layer, f"{layer} + {places}")
    return Cure(f"add {places} to the output of {tokens}", (change,), apply)
