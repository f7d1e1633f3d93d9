"""The gradient through time: how much of it a recurrent layer passes from its last step to its first.

‖∂L/∂x_t‖ of the layer's inputs at the first step over that at the last. Torch's rule for a tanh layer keeps about a
third a step (σ_w = 1/√3), so that after T steps 3⁻ᵀ is left; gates and orthogonal matrices keep most. What matters is
whether the net reads what the first steps say: only where the rehearsal does not learn is a faded gradient suspected.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor, nn

from trainwell.clinic.cures.initialization import redraw
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.weight_scale import off_scale
from trainwell.clinic.subject import Subject
from trainwell.training.modes import frozen, set_training
from trainwell.training.step import Forward, parts

PHASE, COST = "training", 1.0
LIKELY = 0.69  # prior at most: torch's own rule lets it fade too, and many series are told by their ends
STEPS = 5  # fewer pass whatever the weights are
FADED, GROWN = 1e-3, 30.0  # of the gradient reaches the first step; torch's own rule lets it shrink


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a recurrent layer whose first steps no gradient reaches, or one that grows on its way to them."""
    if subject.whole.good:
        return
    layers = {path: m for path, m in subject.program.model.named_modules() if isinstance(m, nn.RNNBase)}
    if not layers or subject.first_step.error:
        return
    with suppress(Exception):  # inputs that are packed, or layers that are not called
        path, reach, steps = reached(subject, list(layers))
        subject.meter.spend(1.0)
        if steps >= STEPS and reach > GROWN:
            code = "bad-init-scale" if path in off_scale(subject) else "exploding-gradient"
            yield Suspicion(
                code, path,
                f"From the last of {steps} steps to the first the gradient grows {reach:.2g} times.",
                {"growth": reach, "steps": steps}, prior=min(0.85, 0.5 + 0.1 * math.log10(reach / GROWN)),
                cures=(redraw(subject, paths=[path], orthogonal=True),),
                explains=frozenset(["lr-too-high", "oscillating-loss", "nonfinite-loss", "exploding-gradient"]),
            )  # fmt: skip
        elif steps >= STEPS and reach < FADED:
            yield Suspicion(
                "vanishing-gradient", path,
                f"Of the gradient at the last of {steps} steps {reach:.1e} comes to the first: what the first steps "
                "say is not learned.", {"reach": reach, "steps": steps},
                prior=min(LIKELY, 0.45 + 0.1 * math.log10(FADED / max(reach, 1e-12))),
                cures=(redraw(subject, paths=[path], orthogonal=True),),
                explains=frozenset(["lr-too-low", "too-few-epochs", "loss-not-decreasing"]),
            )  # fmt: skip


def reached(subject: Subject, paths: list[str]) -> tuple[str, float, int]:
    """The first of these layers that is called, its steps, and the gradient at the first over that at the last of them.

    Of a layer that runs both ways, or is read at its first step, the smaller over the larger.
    """
    model = duplicate(subject.program.model)
    seen: dict[str, Tensor] = {}

    def keep(path: str) -> object:
        def hook(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            seen.setdefault(path, given[0].detach().requires_grad_())
            return (seen[path], *given[1:])

        return model.get_submodule(path).register_forward_pre_hook(hook)

    for path in paths[:1]:
        keep(path)
    batch = subject.some_batches(1)[0]
    x, y, *_ = parts(batch)
    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    set_training(model, frozen(model))
    with torch.backends.cudnn.flags(enabled=False):  # its kernels take no gradient in every mode
        loss = Forward(subject.program, "float32", device).loss_of(model(x), y, None)
    path, inputs = next(iter(seen.items()))
    (gradient,) = torch.autograd.grad(loss, inputs)
    first = model.get_submodule(path).batch_first
    steps = gradient.movedim(1 if first else 0, 0).double().flatten(1).norm(dim=1)
    ends = (float(steps[0]), float(steps[-1]))
    grows = bool((steps[:-1] > 0).all() and steps[len(steps) // 2] < ends[0]) and 0 < ends[1] < ends[0]
    if grows and not model.get_submodule(path).bidirectional:
        return path, ends[0] / ends[1], len(steps)
    return path, min(ends) / max(max(ends), 1e-30), len(steps)
