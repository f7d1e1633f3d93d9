"""Decide what a resolved recipe leaves open: arithmetic, layout, threads, the rate, and the steps between checkpoints.

What is decided is written into the recipe with the reason, so that a resumed or repeated run does the same.
"""

from dataclasses import replace
from typing import Any

from trainwell.data import Dataset
from trainwell.optim.methods import method
from trainwell.training.build import Body, build_program
from trainwell.training.fitting import resolve_steps
from trainwell.training.machine import resolve_device, settled
from trainwell.training.measure import Picked, choices, pick, seconds_per_step
from trainwell.training.method import with_method
from trainwell.training.program import Program
from trainwell.training.rate import RateSearch, search_rate
from trainwell.training.recipe import Recipe
from trainwell.training.settings import Training
from trainwell.training.state import Teller

SHORT = 5e7  # sample-times-parameter products of a whole run below which measuring costs more than it can gain
CHECKPOINT_SECONDS = 20.0
SHARE_OF_BUDGET = 0.9  # of max_minutes for the epochs; the rest is for evaluation


def decide(
    recipe: Recipe,
    dataset: Dataset,
    teller: Teller,
    *,
    rate: bool = True,
    body: Body | None = None,
    fresh: bool = True,
) -> tuple[Program, Recipe, RateSearch | None]:
    """The program to run, the recipe with every field decided, and what the range test saw (if there was one)."""
    placeholder = recipe.optimizer.lr is None
    first = recipe.model_copy(update={"optimizer": recipe.optimizer.with_(lr=1e-3)}) if placeholder else recipe
    program = build_program(first, dataset, body=body, fresh=fresh, teller=teller)
    recipe, picked = _precision(recipe, program, teller)
    recipe = _steps(recipe, program, picked, teller)
    search = None
    chosen = method(recipe.optimizer.name)
    if placeholder and chosen.finds_length:
        recipe = recipe.model_copy(update={"optimizer": recipe.optimizer.with_(lr=chosen.lr)})
    elif placeholder and rate:
        recipe, search = _rate(recipe, program, teller)
    if recipe.optimizer.lr is not None:
        program = with_method(program, recipe)
    return program, recipe, search


def _precision(recipe: Recipe, program: Program, teller: Teller) -> tuple[Recipe, Picked]:
    section = recipe.precision
    device = resolve_device(recipe.training.device)
    allowed = choices(
        program,
        threads=section.threads,
        dtype=section.dtype,
        channels_last=section.channels_last,
        low=program.task in ("classification", "binary", "multilabel"),
        device=device,
    )
    if work(program) < SHORT and device.type == "cpu":
        allowed = allowed[:1]
    if len(allowed) > 1:
        teller.stage("measuring which arithmetic is fastest here")
    picked = pick(program, recipe.training.device, allowed, lambda name: teller.stage(f"timing {name}"))
    choice = picked.choice
    decided = section.with_(dtype=choice.dtype, channels_last=choice.channels_last, threads=choice.threads)
    reasons = dict(recipe.picked)
    if picked.seconds:
        reasons["precision"] = picked.why()
        teller.say(f"Computes with {choice}, picked by measuring.")
    return recipe.model_copy(update={"precision": decided, "picked": reasons}), picked


def work(program: Program) -> float:
    """Sample-times-parameter products of the whole run, those of kernels counted at 50 pixels."""
    parameters = sum(p.numel() for p in program.model.parameters())
    data: Any = program.train
    samples = len(data[1]) * program.epochs
    images = (
        50.0 if any(p.dim() == 4 for p in program.model.parameters()) else 1.0
    )  # weights of kernels are used at every pixel
    return float(samples) * parameters * images


def _steps(recipe: Recipe, program: Program, picked: Picked, teller: Teller) -> Recipe:
    training = recipe.training
    batches = max(1, len(program.train[1]) // program.batch_size)
    numbers = resolve_steps(Training(log_every=training.log_every, checkpoint_every=training.checkpoint_every), batches)
    seconds = seconds_per_step(picked)
    changes: dict[str, Any] = {"log_every": numbers.log_every, "checkpoint_every": numbers.checkpoint_every}
    if training.checkpoint_every == "auto" and seconds:
        changes["checkpoint_every"] = max(1, round(CHECKPOINT_SECONDS / seconds))
    if training.max_minutes and seconds and training.epochs:
        fits = int(SHARE_OF_BUDGET * 60 * training.max_minutes / (seconds * batches))
        if fits < training.epochs:
            changes["epochs"] = max(1, fits)
            teller.say(
                f"{training.epochs} epochs would take about {seconds * batches * training.epochs / 60:.1f} minutes; "
                f"{changes['epochs']} are trained, so that the schedule ends within {training.max_minutes:g}."
            )
    return recipe.model_copy(update={"training": training.with_(**changes)})


def _rate(recipe: Recipe, program: Program, teller: Teller) -> tuple[Recipe, RateSearch]:
    precision = recipe.precision
    settings = Training(
        seed=recipe.training.seed, threads=precision.threads if isinstance(precision.threads, int) else 0
    )
    teller.stage("searching the learning rate", 0.0)
    with settled(settings, resolve_device(recipe.training.device)):
        search = search_rate(
            replace(program, scheduler=None),
            seed=recipe.training.seed,
            device=recipe.training.device,
            dtype=precision.dtype,
            channels_last=precision.channels_last is True,
            tell=lambda share: teller.stage("searching the learning rate", share),
        )
    teller.say(
        f"Learning rate {search.suggestion:g}, by a range test from {search.rates[0]:.0e} to {search.rates[-1]:.1g}."
    )
    reasons = {**recipe.picked, "lr": f"range test over {len(search.rates)} steps"}
    return recipe.model_copy(
        update={"optimizer": recipe.optimizer.with_(lr=search.suggestion), "picked": reasons}
    ), search
