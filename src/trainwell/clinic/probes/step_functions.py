"""Weights whose gradient is zero wherever they stand, though the loss depends on them: a step is in between.

round, sign, floor and hard thresholds are flat but for their jumps: autograd gives exact zeros. Dead and saturated
units give zeros too, but only where they are: with other weights, smaller ones or noisy ones, a gradient comes through.
So weights whose gradient is zero at the first step and after the opening are moved to several places. That the loss is
another there and every gradient is zero again is what only a step function does.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from trainwell.clinic.cures.gradient_through import straight_through
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.first_step import first_step
from trainwell.clinic.meter import FORWARD
from trainwell.clinic.subject import Subject
from trainwell.clinic.taking_part import SameBatch, differs, disturbed

PHASE, COST = "training", 1.0  # more only where gradients are zero

SHARE = 0.1  # of the weights of matrices
PLACES = ((0.3, 1.0), (1.0, 1.0), (3.0, 1.0), (10.0, 1.0), (0.0, 0.1), (0.0, 1e-3), (0.0, 1e-6))  # (noise, shrink)
JUMPS = 2  # places where the loss is another


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a step function in front of a notable part of the weights, where the whole does not learn well."""
    flat, share = _flat(subject, subject.first_step.gradients)
    if share < SHARE or subject.first_step.error or subject.whole.flawless or not _flat_later(subject, flat):
        return
    jumps = _jumps(subject, list(flat))
    if jumps < JUMPS:
        return
    name = next(iter(flat))
    others = f" and {len(flat) - 1} more" if len(flat) > 1 else ""
    yield Suspicion(
        "vanishing-gradient", name,
        f"The gradient of {name}{others} ({share:.0%} of the weights) is exactly zero whatever their values, though "
        "the loss depends on them: a step like round, sign, floor or a hard threshold stands in between.",
        {"tensors": len(flat), "share of the weights": round(share, 3), "places with another loss": jumps},
        prior=0.5 if subject.whole.good else 0.9, certain=not subject.whole.good, loss=0.15,
        cures=(straight_through(),),
    )  # fmt: skip


def _flat(subject: Subject, gradients: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], float]:
    """Parameters whose whole gradient is zero, by name, and their share of the weights of matrices."""
    own: dict[str, Tensor] = {n: p for n, p in subject.program.model.named_parameters() if p.requires_grad}
    flat = {name: p for name, p in own.items() if name in gradients and _zero(gradients[name])}
    matrices = sum(p.numel() for p in own.values() if p.dim() > 1)
    return flat, sum(p.numel() for p in flat.values() if p.dim() > 1) / max(1, matrices)


def _zero(gradient: Tensor) -> bool:
    return not bool((gradient.coalesce().values() if gradient.is_sparse else gradient).any())


def _flat_later(subject: Subject, flat: dict[str, Tensor]) -> bool:
    """Whether their gradients are zero after the opening too; what is not is taken out of them."""
    model = subject.opening.model
    if model is None or not subject.opening.finite:
        return False
    subject.meter.spend(1.0)
    later = first_step(replace(subject.fresh(), model=model), subject.batches, subject.seed + 1)
    for name in list(flat):
        if name not in later.gradients or not _zero(later.gradients[name]):
            del flat[name]
    return not later.error and _flat(subject, {name: torch.zeros(1) for name in flat})[1] >= SHARE


def _jumps(subject: Subject, names: list[str]) -> int:
    """Places with other values of these parameters where the loss is another; 0 where a gradient comes through."""
    trial = SameBatch(subject)
    tensors = [trial.parameters[name] for name in names]
    before, jumps = trial.loss(), 0
    for turn, (noise, shrink) in enumerate(PLACES):
        with disturbed(tensors, subject.seed + turn, noise, shrink):
            subject.meter.spend(1.0 - FORWARD)
            loss = trial.value()
            gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
        if any(gradient is not None and not _zero(gradient) for gradient in gradients):
            return 0
        jumps += differs(float(loss), before)
    return jumps if trial.loss() == before else 0
