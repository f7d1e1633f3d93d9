"""How a recipe's program is trained: its optimizer, rate, schedule and number of epochs."""

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from trainwell.errors import InputError
from trainwell.optim.clipping import clipper
from trainwell.optim.methods import METHODS
from trainwell.optim.scheduling.batch_growth import BatchGrowth, batch_growth
from trainwell.optim.scheduling.schedules import schedule
from trainwell.training.batches import last_batch
from trainwell.training.layer_rates import layer_rates_
from trainwell.training.program import Program
from trainwell.training.recipe import Recipe
from trainwell.training.regularizing import hook_up


def with_method(program: Program, recipe: Recipe) -> Program:
    """The same model and data with the recipe's optimizer, rate, schedule and number of epochs."""
    _check_schedule(recipe)
    section, epochs, samples = recipe.schedule, recipe.training.epochs, len(program.train[1])
    warmup = section.warmup if isinstance(section.warmup, float) else 0.0
    assert epochs is not None  # resolve() decided it
    made = replace(program, optimizer=RecipeOptimizer(recipe), epochs=epochs)
    if section.grow_batch:
        growth = _growth(recipe, epochs, program.batch_size, samples)
        return replace(made, growth=growth, scheduler=lambda optimizer: LambdaLR(optimizer, ByEpoch(growth, samples)))
    steps = epochs * max(1, -(-samples // program.batch_size))
    return replace(
        made,
        scheduler=lambda optimizer: schedule(
            optimizer, section.name, steps, warmup=warmup, end=section.end, options=section.options
        ),
    )


def _growth(recipe: Recipe, epochs: int, batch_size: int, samples: int) -> BatchGrowth:
    section = recipe.schedule
    largest = section.largest_batch or max(batch_size, samples // 10)
    try:
        return batch_growth(
            section.name, epochs, batch_size, largest=min(largest, samples), end=section.end, options=section.options
        )
    except ValueError as error:
        raise InputError(f"schedule.grow_batch: {error}", "Change schedule.name or schedule.largest_batch.") from error


class ByEpoch:
    """The factor on the rate at a step, where the batches grow by epoch; its settings are saved by ``LambdaLR``."""

    def __init__(self, growth: BatchGrowth, samples: int) -> None:
        self.factors = [growth.rate(epoch) for epoch in range(growth.steps)]
        self.ends = list(accumulate(last_batch(samples, growth(epoch)) for epoch in range(growth.steps)))

    def __call__(self, step: int) -> float:
        return self.factors[min(bisect_right(self.ends, step), len(self.factors) - 1)]


def clipping_of(recipe: Recipe) -> Any:
    """A largest norm, a clipper, or None."""
    section = recipe.optimizer
    if section.clip == "norm" or not section.clip_norm:
        return section.clip_norm or None
    return clipper(section.clip, section.clip_norm)


def _check_schedule(recipe: Recipe) -> None:
    try:
        schedule(torch.optim.SGD([torch.zeros(1)], lr=1.0), recipe.schedule.name, 10, options=recipe.schedule.options)
    except (ValueError, TypeError) as error:
        raise InputError(f"schedule: {error}", "Change schedule.name or schedule.options.") from error


class RecipeOptimizer:
    """A recipe's optimizer as a callable of the model."""

    takes_model = True

    def __init__(self, recipe: Recipe) -> None:
        self.method, self.section, self.recipe = METHODS[recipe.optimizer.name], recipe.optimizer, recipe
        for option in self.section.options:
            if not self.method.accepts(option):
                raise InputError(
                    f"optimizer.options: {self.section.name} has no option {option!r}.",
                    f"It has {', '.join(self.method.known())}.",
                )

    def __call__(self, model: nn.Module) -> torch.optim.Optimizer:
        section, method = self.section, self.method
        options: dict[str, Any] = dict(section.options)
        if section.momentum is not None and method.accepts("momentum"):
            options["momentum"] = section.momentum
            if method.accepts("nesterov") and "nesterov" not in options:
                options["nesterov"] = section.momentum > 0
        if section.beta2 is not None and method.accepts("betas"):
            options["betas"] = (0.9, section.beta2)
        decay = 0.0 if section.weight_decay == "auto" else section.weight_decay
        try:
            optimizer = method(model, section.lr, weight_decay=decay, fused=None if section.fused else False, **options)
        except (ValueError, TypeError) as error:
            raise InputError(f"optimizer {section.name}: {error}", "Change optimizer.options or the method.") from error
        if section.layer_decay < 1:
            layer_rates_(optimizer, model, section.layer_decay)
        hook_up(self.recipe, model, optimizer)
        return optimizer
