"""Cures that change a setting of modules."""

from collections.abc import Mapping
from typing import Any

from trainwell.clinic.cure import Change, Cure
from trainwell.training.program import Program

MILD = 0.2  # dropout that seldom harms


def set_dropout(before: Mapping[str, float], after: float = MILD, names: Mapping[str, str] | None = None) -> Cure:
    """Another probability of dropout layers, or of layers that drop units inside.

    Args:
        before: path → probability.
        after: the new one.
        names: path → name of the attribute that holds it, where that is not ``p``.
    """
    of = {path: (names or {}).get(path, "p") for path in before}
    changes = tuple(Change(f"model{path and '.'}{path}.{of[path]}", p, after) for path, p in before.items())

    def apply(program: Program) -> Program:
        for name in dict.fromkeys(of.values()):
            program = _setting([path for path in of if of[path] == name], name, after)(program)
        return program

    return Cure(f"dropout {after:g}", changes, apply)


def set_norm_momentum(before: Mapping[str, float | None], after: float = 0.1) -> Cure:
    """Another momentum of running statistics."""
    changes = tuple(Change(f"model.{path}.momentum", m, after) for path, m in before.items())
    return Cure(f"running statistics with momentum {after:g}", changes, _setting(list(before), "momentum", after))


def _setting(paths: list[str], name: str, value: float) -> Any:
    def apply(program: Program) -> Program:
        for path in paths:
            setattr(program.model.get_submodule(path), name, value)
        return program

    return apply
