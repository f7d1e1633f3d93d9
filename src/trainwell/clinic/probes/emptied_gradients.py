"""Whether the optimizer's ``zero_grad`` empties the gradients: where it does not, every step adds all before it."""

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import nn

from trainwell.clinic.cures.optimizer_parameters import empty_gradients
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.private import built
from trainwell.clinic.subject import Subject

PHASE, COST = "structure", 0.0


TURNS = 4  # steps that an optimizer is watched for: one that gathers gradients empties them when it has moved


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Ask an optimizer over a copy of the model."""
    with suppress(Exception):  # optimizers that cannot be made are the matter of the probe of crashes
        program = subject.fresh()
        optimizer = built(program)
        moved = [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
        left, stepped = 0, True
        for _ in range(TURNS):
            _add(moved)
            before = [p.detach().clone() for p in moved] if not subject.large else []
            optimizer.zero_grad()
            if stepped:
                left = max(left, sum(p.grad is not None and bool(p.grad.any()) for p in moved))
            if left or not before:
                break
            _add(moved)
            optimizer.step()
            stepped = any(not torch.equal(p, old) for p, old in zip(moved, before, strict=True))
        if left:
            yield Suspicion(
                "stale-gradients", "optimizer.zero_grad",
                f"zero_grad of the optimizer leaves the gradients of {left} tensors: every step adds all before it.",
                {"tensors": left}, prior=0.95, certain=True, loss=0.3, cures=(empty_gradients(),),
            )  # fmt: skip


def _add(parameters: list[nn.Parameter]) -> None:
    """A gradient of ones more, as a backward pass adds its own."""
    for p in parameters:
        p.grad = torch.ones_like(p) if p.grad is None else p.grad + 1.0
