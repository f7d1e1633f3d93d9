"""Cures that change a setting: of the optimizer, or of the program."""

from dataclasses import replace
from typing import Any

from trainwell.clinic.cure import Change, Cure
from trainwell.clinic.private import Adjusted
from trainwell.clinic.subject import Subject
from trainwell.training.program import Program


def set_rate(subject: Subject, rate: float) -> Cure:
    """Another learning rate; the groups keep their proportions."""
    before = float(subject.optimizer.param_groups[0]["lr"])
    word = f"divide the rate by {before / rate:g}" if rate < before else f"multiply the rate by {rate / before:g}"
    return Cure(word, (Change("optimizer.lr", before, rate),), _adjusting(lr=rate))


def set_option(subject: Subject, name: str, value: Any) -> Cure:
    """Another setting of the optimizer, such as ``momentum`` or ``weight_decay``, in all groups."""
    before = subject.optimizer.param_groups[0].get(name)
    return Cure(f"{name} {value:g}", (Change(f"optimizer.{name}", before, value),), _adjusting(**{name: value}))


def set_field(subject: Subject, name: str, value: Any, *, factor: float = 1.0) -> Cure:
    """Another value of a field of the program: ``epochs``, ``batch_size``, ``shuffle``, ``clip_grad``."""
    before = getattr(subject.program, name)

    def apply(program: Program) -> Program:
        return replace(program, **{name: value})

    return Cure(f"{name} {value}", (Change(name, before, value),), apply, factor)


def _adjusting(**settings: Any) -> Any:
    def apply(program: Program) -> Program:
        return replace(program, optimizer=Adjusted(program.optimizer, **settings))

    return apply


def set_betas(subject: Subject, betas: tuple[float, float]) -> Cure:
    """Other decay rates of Adam's moments, in all groups."""
    before = subject.optimizer.param_groups[0].get("betas")
    return Cure(f"betas {betas}", (Change("optimizer.betas", str(before), str(betas)),), _adjusting(betas=betas))
