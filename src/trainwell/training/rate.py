"""The range test of a program: which learning rate it takes."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch

from trainwell.errors import JobError
from trainwell.optim.range_test import suggest_rate
from trainwell.optim.second_order.guarded import NonFiniteStep
from trainwell.training.batches import endless, source
from trainwell.training.machine import resolve_device
from trainwell.training.program import Program
from trainwell.training.trial import Trial, untouched

LOWEST, HIGHEST = 1e-5, 10.0
STEPS = 100
REPEATS = 3
GIVE_UP = 4.0  # the loss at which a test ends, as a multiple of its first value


@dataclass(frozen=True)
class RateSearch:
    """What a range test saw: losses at rising rates (of the first repeat), and the rate it suggests."""

    rates: list[float]
    losses: list[float]
    suggestion: float


def search_rate(
    program: Program,
    *,
    seed: int,
    device: str,
    dtype: str = "float32",
    channels_last: bool = False,
    tell: Callable[[float], None] | None = None,
) -> RateSearch:
    """Run range tests on copies of the program; the program and the random generators stay as they are.

    Args:
        program: what will be trained.
        seed: of the order of samples; equal seeds give equal suggestions.
        device, dtype, channels_last: as it will be trained.
        tell: is told the share that is done.

    Raises:
        JobError: if the loss falls at no rate.
    """
    suggestions, first = [], None
    errors: list[str] = []
    repeats = 1 if any(p.dim() > 2 for p in program.model.parameters()) else REPEATS  # kernels: slow steps, calm curves
    for repeat in range(repeats):
        with untouched(program.train):
            torch.manual_seed(seed + repeat)
            where = resolve_device(device)
            trial = Trial(program, where, dtype=dtype, channels_last=channels_last)
            batches = source(program.train, program.batch_size, program.shuffle, seed + repeat, where)
            trial.step.everything = partial(batches.epoch, 1)
            progress = (lambda share, repeat=repeat: tell((repeat + share) / repeats)) if tell else None
            rates, losses = range_test(trial, endless(batches), progress)
        first = first or (rates, losses)
        try:
            suggestions.append(suggest_rate(rates, losses))
        except ValueError as error:
            errors.append(str(error))
    if not suggestions or first is None:
        raise JobError(
            f"The range test found no learning rate: {errors[0]}",
            "Give one with --lr, or look at the data and the model (their scale, a wrong loss).",
        )
    return RateSearch(*first, suggestion=_rounded(float(np.exp(np.mean(np.log(suggestions))))))


def range_test(
    trial: Trial, batches: Iterator[Any], tell: Callable[[float], None] | None = None
) -> tuple[list[float], list[float]]:
    """Losses at exponentially rising rates, until the loss has grown to ``GIVE_UP`` times its first value."""
    rates = np.geomspace(LOWEST, HIGHEST, STEPS).tolist()
    losses: list[float] = []
    for i, rate in enumerate(rates):
        trial.rate(rate)
        try:
            loss, _ = trial.step(next(batches))
        except NonFiniteStep as error:  # a method that looks at the loss itself
            loss = torch.as_tensor(error.value)
        losses.append(float(loss))
        if not np.isfinite(losses[-1]) or losses[-1] > GIVE_UP * max(losses[0], 1e-12):
            break
        if tell:
            tell(i / STEPS)
    return rates[: len(losses)], losses


def _rounded(rate: float) -> float:
    """Two digits: more would promise a precision that a range test does not have."""
    return float(f"{rate:.2g}")
