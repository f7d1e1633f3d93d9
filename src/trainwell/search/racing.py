"""A race: several methods train the same program on equal terms, and the curves say which is worth what.

Equal are the weights at the start, the order of samples, the random numbers, the schedule and the effort spent on each
method's rate (``search.tuning``). Then each trains for the same number of steps, or for the same time: of a budget, a
part goes into tuning, and the rest is shared equally. The methods take turns, a slice of a second at most each, so that
whatever slows the machine down slows all alike. The seconds of a method are its own training time: batches, forward,
backward and step; looking at the losses is not counted.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainwell.errors import InputError
from trainwell.optim.methods import method
from trainwell.search.course import ByName, run_race
from trainwell.search.from_recipe import race_recipe
from trainwell.search.outcome import Race
from trainwell.training import stopping
from trainwell.training.program import Program
from trainwell.training.recipe import Recipe
from trainwell.training.settings import Training
from trainwell.training.state import Callback, Teller

BUDGET = 60.0  # seconds


def race(
    program: Program | Recipe,
    methods: Sequence[str],
    *,
    budget: float | None = None,
    steps: int | None = None,
    rates: Mapping[str, float] | None = None,
    training: Training | None = None,
    folder: str | Path | None = None,
    callbacks: Iterable[Callback] = (),
) -> Race:
    """Race methods on a program, or on the program that a recipe makes of its data.

    Args:
        program: stays as it is; its own optimizer and scheduler are not used. A one-cycle schedule is, with a tenth of
            warm-up; a recipe brings its own.
        methods: names of ``optim.METHODS``.
        budget: seconds of training of all methods together, tuning included; 60 if no steps are given either.
        steps: the same number for each method, instead of a budget.
        rates: of methods whose rate is not to be tuned.
        training: seed, device, precision and threads for a program; a recipe has its own.
        folder: where ``race.json`` and ``race.html`` go; None writes nothing.
        callbacks: functions ``f(event, state)``, told ``stage`` and ``message``.

    Raises:
        InputError: for an unknown method or a budget that is none.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> X = torch.linspace(-1, 1, 64)[:, None]
        >>> net = nn.Linear(1, 1)
        >>> program = Program(net, (X, 3 * X), nn.MSELoss(), lambda p: torch.optim.SGD(p, lr=0.1))
        >>> race(program, ["sgd", "adamw"], steps=20, rates={"sgd": 0.1, "adamw": 0.1}).winner["step"]
        'sgd'
    """
    names = checked(methods, rates or {})
    if budget is not None and steps is not None:
        raise InputError("race: both a budget and steps are given.", "Give one of them.")
    if (steps is not None and steps < 1) or (budget is not None and not 0 < budget < math.inf):
        raise InputError(f"race: {budget=}, {steps=}.", "Give a time above 0 seconds, or at least one step.")
    budget = BUDGET if budget is None and steps is None else budget
    teller = Teller(callbacks)
    if isinstance(program, Recipe):
        return race_recipe(program, names, budget, steps, rates or {}, folder, teller)

    with stopping.listening():
        return run_race(
            program,
            names,
            ByName,
            training=training or Training(),
            schedule={"name": "one-cycle", "warmup": 0.1, "end": 0.0},
            budget=budget,
            steps=steps,
            rates=rates or {},
            about={},
            folder=folder,
            teller=teller,
        )


def checked(methods: Sequence[str], rates: Mapping[str, float]) -> list[str]:
    """The names, each once.

    Raises:
        InputError: for an unknown one, with the nearest, or none at all.
    """
    if not methods:
        raise InputError("race: no method is named.", "Name some of `trainwell methods`, such as sgd,adamw.")
    for name in [*methods, *rates]:
        try:
            method(name)
        except ValueError as error:
            what, _, hint = str(error).partition(". ")
            raise InputError(f"race: {what}.", f"{hint} `trainwell methods` lists them.") from None
    for name in rates:
        if name not in methods:
            raise InputError(
                f"race: a rate is given for {name}, which does not race.", f"Methods: {', '.join(methods)}."
            )
    return list(dict.fromkeys(methods))
