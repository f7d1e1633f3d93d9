"""A run that is decided and has not begun: it may still be looked at, and revised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from trainwell.data import Dataset
from trainwell.training.decide import decide
from trainwell.training.defaults import resolve
from trainwell.training.method import clipping_of, with_method
from trainwell.training.program import Program
from trainwell.training.rate import RateSearch
from trainwell.training.recipe import Recipe
from trainwell.training.settings import Running, Training
from trainwell.training.state import Teller

OF_THE_METHOD = frozenset(
    ["optimizer.lr", "optimizer.momentum", "optimizer.weight_decay", "optimizer.clip_norm"]
)  # fields that neither the model nor its data depend on


@dataclass(frozen=True)
class Draft:
    """What ``train`` would run.

    Attributes:
        program: ready to be fitted.
        recipe: with every field decided.
        dataset: that the program was made of.
        folder: of the run.
        teller: for sentences and stages.
        search: the range test, where there was one.
    """

    program: Program
    recipe: Recipe
    dataset: Dataset
    folder: Path
    teller: Teller
    search: RateSearch | None = None

    @staticmethod
    def needs_building(changes: Mapping[str, Any]) -> bool:
        """Whether a draft with these changes has another model, other data or a rate to be searched."""
        return not changes.keys() <= OF_THE_METHOD or changes.get("optimizer.lr", 1.0) is None

    def revised(self, changes: Mapping[str, Any]) -> "Draft":
        """The draft with other fields of the recipe; a rate that was searched, or is None, is searched anew.

        Args:
            changes: ``section.field`` → value.
        """
        recipe = self.recipe.changed(changes)
        if not self.needs_building(changes):
            program = replace(with_method(self.program, recipe), clip_grad=clipping_of(recipe))
            return replace(self, program=program, recipe=recipe)
        if self.search is not None and "optimizer.lr" not in changes:
            recipe = recipe.changed({"optimizer.lr": None})
        program, recipe, search = decide(resolve(recipe, self.dataset), self.dataset, self.teller)
        return replace(self, program=program, recipe=recipe, search=search or self.search)


Before = Callable[[Draft], Draft]
"""Looks at a run before it begins; gives it back as it was, or revised."""


def running(recipe: Recipe) -> Training:
    """The settings of ``fit`` that a recipe holds."""
    own = recipe.training.model_dump(include=set(Running.model_fields))
    threshold = recipe.training.threshold
    precision = recipe.precision
    return Training(
        **own,
        threshold=0.5 if threshold == "auto" else threshold,
        dtype="float32" if precision.dtype == "auto" else precision.dtype,
        channels_last=precision.channels_last is True,
        threads=precision.threads if isinstance(precision.threads, int) else 0,
        compile=precision.compile,
    )
