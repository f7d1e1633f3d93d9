"""A run that has not begun, as the clinic examines it: on the run's device, rehearsed in the run's arithmetic."""

from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from trainwell.clinic.cure import Cure
from trainwell.clinic.meter import Meter
from trainwell.clinic.private import private
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.clinic.subject import Subject
from trainwell.training.batches import as_tensors, moved
from trainwell.training.program import Program, leaves
from trainwell.training.recipe import Recipe

SHARE = 0.25  # of the free memory of a device that data may take


class AsTrained(Subject):
    """A subject whose rehearsals compute as the run will.

    Args:
        program: see :func:`of_its_own`.
        meter: counts what is spent.
        low: whether the forward passes are in bfloat16.
        seed, effort: as of :class:`Subject`.
    """

    def __init__(self, program: Program, meter: Meter, *, low: bool, seed: int = 0, effort: float = 1.0) -> None:
        super().__init__(program, meter, seed=seed, effort=effort)
        self.low = low

    def rehearse(self, cure: Cure | None = None, **how: Any) -> Rehearsal:
        """As the base does; weights are cast anew at each use, since every step changes them."""
        device = next((p.device.type for p in self.program.model.parameters()), "cpu")
        low = torch.autocast(device, torch.bfloat16, cache_enabled=False)
        with low if self.low else nullcontext():
            return super().rehearse(cure, **how)

    def cured(self, cure: Cure) -> "AsTrained":
        """The subject that the cure makes of this one."""
        return AsTrained(self._applied(cure), self.meter, low=self.low, seed=self.seed, effort=self.effort)


def of_its_own(program: Program, recipe: Recipe, device: torch.device) -> Program:
    """A private copy in the run's layout and on its device; data stay where they are if they do not fit there."""
    made = private(program)
    model = made.model.to(device)
    if recipe.precision.channels_last is True:
        model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if isinstance(made.loss, nn.Module):
        made.loss.to(device)
    if device.type == "cpu" or not _fits(program, device):
        return replace(made, model=model)
    train, val = (_moved(part, device) for part in (program.train, program.val))
    return replace(made, model=model, train=train, val=val)


def _moved(part: Any, device: torch.device) -> Any:
    return None if part is None else tuple(moved(as_tensors(piece), device) for piece in part)


def _fits(program: Program, device: torch.device) -> bool:
    if device.type != "cuda":
        return True
    pieces = [leaf for part in (program.train, program.val) if part is not None for x in part for leaf in leaves(x)]
    return sum(piece.nbytes for piece in pieces) < SHARE * torch.cuda.mem_get_info(device)[0]
