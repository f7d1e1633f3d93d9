"""A copy of a program to try things on: its training leaves the original, and the random generators, as they were."""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch.optim import Optimizer

from trainwell.training.batches import own_generators
from trainwell.training.checkpoint import random_state, set_random_state
from trainwell.training.modes import frozen, set_training
from trainwell.training.program import Program, make_optimizer
from trainwell.training.rebuilt_optimizer import rebuilder
from trainwell.training.step import Forward, Stepper


@contextmanager
def untouched(data: Any = None) -> Iterator[None]:
    """Put the global random generators, those of a ``DataLoader`` and the threads back afterwards."""
    own = own_generators(data)
    state, threads = random_state(own), torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        set_random_state(state, own)


class Trial:
    """A copy of model and optimizer that can be stepped.

    Args:
        program: whose optimizer is a callable of the parameters, or an instance that is rebuilt with its own settings.
        device: where to run.
        dtype, channels_last: arithmetic and layout.
        lr: rate of the first group, the others in proportion; the program's own if None.
    """

    def __init__(
        self,
        program: Program,
        device: torch.device,
        *,
        dtype: str = "float32",
        channels_last: bool = False,
        lr: float | None = None,
    ) -> None:
        model = copy.deepcopy(program.model).to(device)
        if channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = model
        set_training(model, frozen(model))
        self.optimizer = rebuilt(program, model)
        if lr is not None:
            self.rate(lr)
        loss = copy.deepcopy(program.loss).to(device) if isinstance(program.loss, torch.nn.Module) else program.loss
        forward = Forward(replace(program, model=model, loss=loss), dtype, device)
        self.step = Stepper(
            forward, model, self.optimizer, None, clip_grad=program.clip_grad, accumulate=1, say=lambda text: None
        )

    def rate(self, lr: float) -> None:
        """Set the rate of the first group, and the others in proportion: layers may have rates of their own."""
        groups = self.optimizer.param_groups
        first = groups[0]["lr"]
        for group in groups:
            group["lr"] = lr * (group["lr"] / first) if first else lr


def rebuilt(program: Program, model: torch.nn.Module) -> Optimizer:
    """The program's optimizer over another model's parameters, without state."""
    if not isinstance(program.optimizer, Optimizer):
        return make_optimizer(program, model)
    return rebuilder(program.optimizer, program.model)(model)
