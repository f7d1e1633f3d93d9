"""How a recipe's program is trained: its optimizer, rate, schedule and number of epochs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch

from trainwell.optim.methods import METHODS
from trainwell.optim.schedules import schedule
from trainwell.training.program import Program
from trainwell.training.recipe import Recipe


def with_method(program: Program, recipe: Recipe) -> Program:
    """The same model and data with the recipe's optimizer, rate, schedule and number of epochs."""
    warmup = recipe.schedule.warmup if isinstance(recipe.schedule.warmup, float) else 0.0
    assert recipe.training.epochs is not None  # resolve() decided it
    steps = recipe.training.epochs * max(1, -(-len(program.train[1]) // program.batch_size))
    return replace(
        program,
        optimizer=optimizer_of(recipe),
        scheduler=lambda optimizer: schedule(
            optimizer, recipe.schedule.name, steps, warmup=warmup, end=recipe.schedule.end
        ),
        epochs=recipe.training.epochs,
    )


def optimizer_of(recipe: Recipe) -> Callable[..., torch.optim.Optimizer]:
    """A callable of the parameters."""
    method, section = METHODS[recipe.optimizer.name], recipe.optimizer
    options: dict[str, Any] = {"momentum": section.momentum, "betas": (0.9, section.beta2)}
    return lambda parameters: method(
        parameters, section.lr, weight_decay=section.weight_decay, fused=None if section.fused else False, **options
    )
