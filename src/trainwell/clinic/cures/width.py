"""A wider net: the hidden units of a chain of linear layers, several times as many."""

from collections.abc import Iterator

import torch
from torch import nn

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program

WIDE = 64  # units of the hidden layers afterwards
PLAIN = (nn.Dropout, nn.Identity, nn.Flatten)


def widened(subject: Subject) -> Cure | None:
    """At least ``WIDE`` units in every narrow hidden layer of an ``nn.Sequential``; a hidden layer where there is none.

    None where the model is not built of such chains.
    """
    model = subject.program.model
    if not isinstance(model, nn.Sequential) or any(any(True for _ in child.children()) for child in model):
        return None
    places = [i for i, child in enumerate(model) if isinstance(child, nn.Linear)]
    if not places or any(not _may_stand(child) for child in model):
        return None
    if len(places) == 1:
        change = Change(f"model.{places[0]}", str(model[places[0]]), f"Linear(…, {WIDE}), ReLU(), Linear({WIDE}, …)")
        return Cure("a hidden layer", (change,), lambda program: _with_hidden(program, places[0]))
    hidden = [(i, layer) for i, layer in enumerate(model) if isinstance(layer, nn.Linear)][:-1]
    widths = [(i, layer.out_features) for i, layer in hidden]
    changes = tuple(Change(f"model.{i}.out_features", width, WIDE) for i, width in widths if width < WIDE)
    return Cure(f"{WIDE} units in the hidden layers", changes, _widen) if changes else None


def _may_stand(child: nn.Module) -> bool:
    return isinstance(child, (nn.Linear, nn.BatchNorm1d, *PLAIN)) or not list(child.parameters())


def _widen(program: Program) -> Program:
    model = program.model
    assert isinstance(model, nn.Sequential)
    places = [i for i, child in enumerate(model) if isinstance(child, nn.Linear)]
    for i, wide in _widths(model, places):
        old = model[i]
        assert isinstance(old, nn.Linear)
        inputs = old.in_features if i == places[0] else wide[0]
        outputs = old.out_features if i == places[-1] else wide[1]
        model[i] = nn.Linear(inputs, outputs, old.bias is not None).to(old.weight.device, old.weight.dtype)
        for j in range(i + 1, len(model)):
            norm = model[j]
            if isinstance(norm, nn.Linear):
                break
            if isinstance(norm, nn.BatchNorm1d):
                model[j] = nn.BatchNorm1d(outputs, norm.eps, norm.momentum, norm.affine)
    return program


def _widths(model: nn.Sequential, places: list[int]) -> Iterator[tuple[int, tuple[int, int]]]:
    """(place, (inputs, outputs)) with every hidden width at least ``WIDE``."""
    before = 0
    for i in places:
        layer = model[i]
        assert isinstance(layer, nn.Linear)
        after = max(WIDE, layer.out_features)
        yield i, (before, after)
        before = after


def _with_hidden(program: Program, place: int) -> Program:
    model = program.model
    assert isinstance(model, nn.Sequential)
    old = model[place]
    assert isinstance(old, nn.Linear)
    first, last = nn.Linear(old.in_features, WIDE), nn.Linear(WIDE, old.out_features, old.bias is not None)
    with torch.no_grad():
        model[place] = nn.Sequential(first, nn.ReLU(), last).to(old.weight.device, old.weight.dtype)
    return program
