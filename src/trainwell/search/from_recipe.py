"""A race on the program that a recipe makes of its data."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainwell.errors import InputError
from trainwell.optim.methods import METHODS
from trainwell.search.course import run_race
from trainwell.search.outcome import Race
from trainwell.training import stopping
from trainwell.training.decide import decide
from trainwell.training.defaults import resolve
from trainwell.training.draft import running
from trainwell.training.fitting import make_folder
from trainwell.training.jobs import read_data
from trainwell.training.method import RecipeOptimizer
from trainwell.training.recipe import Recipe
from trainwell.training.sections import OptimizerSection
from trainwell.training.state import Teller
from trainwell.training.weights import write_text

ROOT = Path("races")
FOLLOWING = ("plateau", "growing")  # schedules that depend on the losses or on the number of steps
STEP_OPTIONS = {"decay", "every", "first"}  # of schedules, counted in steps


def race_recipe(
    recipe: Recipe,
    names: Sequence[str],
    budget: float | None,
    steps: int | None,
    rates: Mapping[str, float],
    folder: str | Path | None,
    teller: Teller,
) -> Race:
    """Read the data, decide what the recipe leaves open but the rates, and race.

    Weight decay is 0 for all unless the recipe sets it, so that all minimize the same function.

    Raises:
        InputError: for wrong data or recipe.
    """
    if not recipe.data.source:
        raise InputError("No data were named.", "Give a path or a known name such as digits.")
    if recipe.optimizer.lr is not None:
        teller.say("optimizer.lr is not used: the rate of each method is tuned. Give --rates NAME=RATE to set it.")
    _check_schedule(recipe, by_clock=steps is None)
    with stopping.listening():
        dataset = read_data(recipe, teller)
        program, decided, _ = decide(resolve(_without_method(recipe), dataset), dataset, teller, rate=False)

        def optimizer(name: str, lr: float | None) -> Any:
            own = recipe.model_copy(update={"optimizer": optimizer_section(recipe, name)})
            section = resolve(own, dataset).optimizer.model_copy(update={"lr": lr})
            return RecipeOptimizer(decided.model_copy(update={"optimizer": section}))

        if folder is not None:
            make_folder(Path(folder))
            write_text(Path(folder) / "recipe.toml", _kept(recipe, decided).to_toml())
        warmup, end = decided.schedule.warmup, decided.schedule.end
        return run_race(
            program,
            names,
            optimizer,
            training=running(decided),
            schedule={
                "name": decided.schedule.name,
                "warmup": warmup if isinstance(warmup, float) else 0.0,
                "end": end,
                "options": dict(decided.schedule.options),
            },
            budget=budget,
            steps=steps,
            rates=rates,
            about={"data": dataset.name, "source": recipe.data.source, "model": decided.model.name},
            folder=folder,
            teller=teller,
        )


def optimizer_section(recipe: Recipe, name: str) -> OptimizerSection:
    """The recipe's settings that a method has: momentum, β₂, weight decay (0 if it is left open) and options."""
    section, method = recipe.optimizer, METHODS[name]
    decay = 0.0 if section.weight_decay == "auto" or not method.accepts("weight_decay") else section.weight_decay
    return section.model_copy(
        update={
            "name": name,
            "lr": None,
            "weight_decay": decay,
            "momentum": section.momentum if method.accepts("momentum") else None,
            "beta2": section.beta2 if method.accepts("betas") else None,
            "options": {option: value for option, value in section.options.items() if method.accepts(option)},
        }
    )


def _check_schedule(recipe: Recipe, by_clock: bool) -> None:
    """Raise an InputError for a schedule that is no function of the share of the way."""
    name, counted = recipe.schedule.name, set(recipe.schedule.options) & STEP_OPTIONS
    if name in FOLLOWING or (by_clock and counted):
        what = f"{name} follows the run" if name in FOLLOWING else f"{', '.join(sorted(counted))} counts steps"
        raise InputError(
            f"race: schedule.name is {name!r}, and {what}.", "Use a schedule over the whole way, such as one-cycle."
        )


def _without_method(recipe: Recipe) -> Recipe:
    """The recipe with the default method, whose settings do not matter: each method brings its own."""
    section = OptimizerSection(
        weight_decay=0.0,
        layer_decay=recipe.optimizer.layer_decay,
        clip=recipe.optimizer.clip,
        clip_norm=recipe.optimizer.clip_norm,
        fused=recipe.optimizer.fused,
    )
    return recipe.model_copy(update={"optimizer": section})


def _kept(recipe: Recipe, decided: Recipe) -> Recipe:
    """What was decided, and the optimizer's settings as they were given."""
    return decided.model_copy(update={"optimizer": recipe.optimizer.model_copy(update={"lr": None})})


def new_folder(recipe: Recipe) -> Path:
    """The folder asked for, or the next free ``races/NAME-N``.

    Raises:
        InputError: if the folder asked for is not empty.
    """
    if recipe.output.folder:
        from trainwell.training.jobs import new_folder as asked_for

        return asked_for(recipe)
    stem = re.sub(r"[^\w.-]+", "-", Path(recipe.data.source).stem).strip("-") or "race"
    number = 1
    while (ROOT / f"{stem}-{number}").exists():
        number += 1
    return ROOT / f"{stem}-{number}"
