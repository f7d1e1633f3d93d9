"""How a recipe's program is trained: its optimizer, rate, schedule and number of epochs."""

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trainwell.optim.layer_rates import layer_rates_
from trainwell.optim.methods import METHODS
from trainwell.optim.schedules import schedule
from trainwell.training.program import Program
from trainwell.training.recipe import Recipe
from trainwell.training.regularizing import hook_up


def with_method(program: Program, recipe: Recipe) -> Program:
    """The same model and data with the recipe's optimizer, rate, schedule and number of epochs."""
    warmup = recipe.schedule.warmup if isinstance(recipe.schedule.warmup, float) else 0.0
    assert recipe.training.epochs is not None  # resolve() decided it
    steps = recipe.training.epochs * max(1, -(-len(program.train[1]) // program.batch_size))
    return replace(
        program,
        optimizer=RecipeOptimizer(recipe),
        scheduler=lambda optimizer: schedule(
            optimizer, recipe.schedule.name, steps, warmup=warmup, end=recipe.schedule.end
        ),
        epochs=recipe.training.epochs,
    )


class RecipeOptimizer:
    """A recipe's optimizer as a callable of the model."""

    takes_model = True

    def __init__(self, recipe: Recipe) -> None:
        self.method, self.section, self.recipe = METHODS[recipe.optimizer.name], recipe.optimizer, recipe

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        section, method = self.section, self.method
        given: dict[str, Any] = {"momentum": section.momentum, "betas": (0.9, section.beta2)}
        options = {name: value for name, value in given.items() if method.accepts(name)}
        if method.accepts("nesterov"):
            options["nesterov"] = section.momentum > 0
        decay = 0.0 if section.weight_decay == "auto" else section.weight_decay
        optimizer = method(model, section.lr, weight_decay=decay, fused=None if section.fused else False, **options)
        if section.layer_decay < 1:
            layer_rates_(optimizer, model, section.layer_decay)
        hook_up(self.recipe, model, optimizer)
        return optimizer
