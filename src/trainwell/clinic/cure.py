"""A cure as data: the changes that it makes, and the function that makes them to a program of one's own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from trainwell.training.program import Program


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        target: ``optimizer.lr``, ``epochs``, ``loss``, ``train.X``, ``model.2`` (a module or parameter by path) …
        before, after: in the user's words: numbers, or the source of a module, as ``nn.Softmax(dim=1)``.
    """

    target: str
    before: Any
    after: Any

    def __str__(self) -> str:
        return f"{self.target}: {_shown(self.before)} → {_shown(self.after)}"


@dataclass(frozen=True)
class Cure:
    """What mends a cause.

    Attributes:
        name: what it does, in a few words: ``divide the rate by ten``.
        changes: to be shown, rendered as overrides of a recipe or as a patch.
        apply: gives the cured program. It gets a program of its own (``subject.private``), whose model it may change in
            place and whose optimizer is a callable; data it must copy before it changes them.
        factor: times the training samples seen after the cure over those before, for its cost.
        steps: times the optimizer's steps, where the cure changes how many there are.
    """

    name: str
    changes: tuple[Change, ...]
    apply: Callable[[Program], Program]
    factor: float = 1.0
    steps: float = 1.0

    @property
    def wraps(self) -> bool:
        """Whether the model becomes part of another, so that its parameters have other names."""
        return any(change.target == "model" for change in self.changes)

    def to_dict(self) -> dict[str, Any]:
        """The cure in JSON's types."""
        changes = [{"target": c.target, "before": _plain(c.before), "after": _plain(c.after)} for c in self.changes]
        return {"name": self.name, "changes": changes}


def together(cures: Sequence[Cure]) -> Cure:
    """Several cures, one after the other, as one."""

    def apply(program: Program) -> Program:
        for cure in cures:
            program = cure.apply(program)
        return program

    name, changes = "; ".join(c.name for c in cures), tuple(change for c in cures for change in c.changes)
    return Cure(name, changes, apply, math.prod(c.factor for c in cures), math.prod(c.steps for c in cures))


def _plain(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
