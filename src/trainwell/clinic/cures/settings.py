"""Cures that change a setting: of the optimizer, or of the program."""

from dataclasses import replace
from typing import Any

import numpy as np
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.private import Adjusted, built
from trainwell.clinic.rehearsal import rate_multipliers
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program


def set_rate(subject: Subject, rate: float) -> Cure:
    """Another learning rate; the groups keep their proportions, a schedule that sets its own rates its shape."""
    before = float(subject.optimizer.param_groups[0]["lr"])
    if sets_its_own(subject.program):
        return _scaled_schedule(subject, rate / before)
    word = f"divide the rate by {before / rate:g}" if rate < before else f"multiply the rate by {rate / before:g}"
    return Cure(word, (Change("optimizer.lr", before, rate),), _adjusting(lr=rate))


def sets_its_own(program: Program) -> bool:
    """Whether the schedule overrides the optimizer's rate, as one cycle with its ``max_lr`` does."""
    if program.scheduler is None or hasattr(program.scheduler, "step"):
        return False
    twice = replace(program, optimizer=Adjusted(program.optimizer, lr=2 * float(built(program).param_groups[0]["lr"])))
    once, again = (rate_multipliers(p, 3) for p in (program, twice))
    return bool(np.allclose(once, 2 * again) and not np.allclose(once, again))


def _scaled_schedule(subject: Subject, by: float) -> Cure:
    shape = by * rate_multipliers(subject.program, subject.steps)
    peak = float(shape.max() * subject.optimizer.param_groups[0]["lr"])

    def apply(program: Program) -> Program:
        return replace(program, scheduler=Recorded(shape))

    word = f"multiply the schedule's rates by {by:g}" if by > 1 else f"divide the schedule's rates by {1 / by:g}"
    change = Change("scheduler", f"a peak of {peak / by:g}", f"the same shape with a peak of {peak:g}")
    return Cure(word, (change,), apply)


def stretch_schedule(subject: Subject, length: int, steps: int | None = None) -> Cure:
    """A schedule of ``length`` steps, run once over the whole training, or over ``steps``."""
    shape, steps = rate_multipliers(subject.program, length), steps or subject.steps
    places = np.linspace(0, length - 1, steps)

    def apply(program: Program) -> Program:
        return replace(program, scheduler=Recorded(np.interp(places, np.arange(length), shape)))

    return Cure(
        "stretch the schedule over the training", (Change("scheduler", f"{length} steps", f"{steps} steps"),), apply
    )


class Recorded:
    """Makes a schedule of recorded factors on the optimizer's rate.

    Args:
        factors: of each step; the last goes on.
    """

    def __init__(self, factors: np.ndarray) -> None:
        self.factors = factors

    def __call__(self, optimizer: Optimizer) -> LambdaLR:
        last = len(self.factors) - 1
        return LambdaLR(optimizer, lambda step: float(self.factors[min(step, last)]))


def set_option(subject: Subject, name: str, value: Any) -> Cure:
    """Another setting of the optimizer, such as ``momentum`` or ``weight_decay``, in all groups."""
    before = subject.optimizer.param_groups[0].get(name)
    return Cure(f"{name} {value:g}", (Change(f"optimizer.{name}", before, value),), _adjusting(**{name: value}))


def set_field(subject: Subject, name: str, value: Any, *, factor: float = 1.0, steps: float = 1.0) -> Cure:
    """Another value of a field of the program: ``epochs``, ``batch_size``, ``shuffle``, ``clip_grad``."""
    before = getattr(subject.program, name)

    def apply(program: Program) -> Program:
        return replace(program, **{name: value})

    return Cure(f"{name} {value}", (Change(name, before, value),), apply, factor, steps)


def constant_rate(subject: Subject) -> Cure:
    """No schedule."""
    before = type(subject.program.scheduler).__name__ if hasattr(subject.program.scheduler, "step") else "a schedule"

    def apply(program: Program) -> Program:
        return replace(program, scheduler=None)

    return Cure("keep the rate constant", (Change("scheduler", before, None),), apply)


def _adjusting(**settings: Any) -> Any:
    def apply(program: Program) -> Program:
        return replace(program, optimizer=Adjusted(program.optimizer, **settings))

    return apply


def set_betas(subject: Subject, betas: tuple[float, float]) -> Cure:
    """Other decay rates of Adam's moments, in all groups."""
    before = subject.optimizer.param_groups[0].get("betas")
    return Cure(f"betas {betas}", (Change("optimizer.betas", str(before), str(betas)),), _adjusting(betas=betas))
