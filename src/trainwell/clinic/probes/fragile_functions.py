"""Functions that leave the numbers, called by the user's own forward pass or loss in a program whose loss does so."""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import nn

from trainwell.clinic.asking import own_loss, written_in
from trainwell.clinic.cures.guarded import FRAGILE, GuardedCalls, guard
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.meter import FORWARD
from trainwell.clinic.subject import Subject
from trainwell.training.step import parts

PHASE, COST = "training", FORWARD
TOWERING = 30.0  # a loss so many times its start left the numbers by growing
USUAL = ("torch", "trainwell")  # libraries of losses that are guarded by those who wrote them


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect logarithms, roots and divisions of a program whose loss stops being a number without having grown."""
    opening, whole = subject.opening, subject.whole
    broken = next((run for run in (opening, whole) if not run.finite), None)
    if broken is None or not broken.losses:
        return
    with suppress(Exception):  # models and losses that only their own step can call
        in_model, in_loss = _called(subject)
        names = in_model | in_loss
        if not names:
            return
        known = [loss for loss in broken.losses if math.isfinite(loss)]
        tame = not known or max(map(abs, known)) < TOWERING * max(1.0, abs(known[0]))
        yield Suspicion(
            "nonfinite-loss", "forward" if in_model else "loss",
            f"The loss is no number after {len(broken.losses)} steps, and {', '.join(sorted(names))} in "
            f"{'forward' if in_model else 'the loss'} {'have' if len(names) > 1 else 'has'} none everywhere.",
            {"steps": len(broken.losses)}, prior=0.9 if tame else 0.3,
            cures=(guard(names, model=bool(in_model), loss=bool(in_loss)),),
            explains=frozenset(["lr-too-high", "exploding-gradient"]),
        )  # fmt: skip


def _called(subject: Subject) -> tuple[frozenset[str], frozenset[str]]:
    """Names of the fragile functions that the forward pass calls outside of torch's modules, and those of the loss."""
    model, program = duplicate(subject.program.model), subject.program
    x, y, *_ = parts(subject.some_batches(1)[0])
    for path, module in list(model.named_modules()):
        if path and type(module).__module__.startswith("torch.") and not any(True for _ in module.children()):
            _silence(module)
    with torch.no_grad(), torch.random.fork_rng(), GuardedCalls(change=False) as of_model:
        output = model(x)
    subject.meter.spend(FORWARD)
    loss = own_loss(program.loss)
    of_loss = set[str]()
    if not written_in(loss, *USUAL):
        with torch.no_grad(), GuardedCalls(change=False) as heard:
            loss(output, y)
        of_loss = heard.called
    return frozenset(of_model.called) & FRAGILE, frozenset(of_loss) & FRAGILE


def _silence(module: nn.Module) -> None:
    """Let a module of torch's own run unheard."""
    forward = module.forward

    def unheard(*args: Any, **kwargs: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return forward(*args, **kwargs)

    module.forward = unheard
