"""Healthy programs enrol by a decorator: the function that builds one gives its name, the decorator the rest."""

from collections.abc import Callable
from functools import wraps

import torch
from program import Case, SuiteProgram
from samples import Parts
from torch import Tensor, nn

Make = Callable[[int], Case]
Optimizer = Callable[..., torch.optim.Optimizer]


def healthy(
    programs: list[SuiteProgram], task: str, good: float, note: str, *, metric: str = "plain"
) -> Callable[[Make], Make]:
    """A decorator that adds the program that a function of the seed builds; its id is ``healthy_`` and the name.

    Args:
        programs: the list that it is added to.
        task: classification, binary, regression or multilabel.
        good: validation score that every seed reaches.
        note: what looks suspicious and why it does no harm.
        metric: ``plain`` or ``balanced`` accuracy.
    """

    def enrol(make: Make) -> Make:
        @wraps(make)
        def build(seed: int, sick: bool = False) -> Case:
            torch.manual_seed(seed)
            return make(seed)

        name = f"healthy_{make.__name__}"
        source = "healthy: a usual program that looks suspicious"
        programs.append(SuiteProgram(name, source, task, (), (), good, note, build, metric=metric))
        return make

    return enrol


def case(
    model: nn.Module,
    parts: Parts,
    loss: Callable[..., Tensor],
    optimizer: Optimizer | torch.optim.Optimizer,
    batch_size: int,
    epochs: int,
    **rest: object,
) -> Case:
    """The parts of a program under their names; ``rest`` may hold ``shuffle``, ``scheduler`` and ``clip_grad``."""
    train, val = parts
    return {
        "model": model,
        "train": train,
        "val": val,
        "loss": loss,
        "optimizer": optimizer,
        "batch_size": batch_size,
        "epochs": epochs,
        **rest,
    }
