"""Cure of a layer that was made and never called: run it behind the layer that was made before it, where it fits."""

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import pairwise

from torch import nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.cures.surgery import replace_module
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import kind_of
from trainwell.training.program import Program


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
