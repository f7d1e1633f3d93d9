"""A loss or gradient that is not finite: with the batch, the layer and the operation that made it.

The loss is read at every step, and so is the sum of the gradient of a small parameter at the net's beginning, where
all that goes wrong on the way back arrives (on CUDA, where reading it would mean waiting, the next loss tells). The
pass is then done again on a copy, with the weights that it had: see ``watching.origin``.
"""

import math
from collections.abc import Iterator

import torch

from trainwell.clinic.finding import Finding
from trainwell.clinic.watching.alarming import found
from trainwell.clinic.watching.alarms.rate_too_high import ABOVE
from trainwell.clinic.watching.origin import LOSS, Origin, gradient_origin, origin_of
from trainwell.clinic.watching.replay import CannotReplay, tensors_of
from trainwell.clinic.watching.seen import Pass, Seen


class Alarm:
    """See the file's text."""

    NEEDS = ("loss",)
    BLIND = "a loss that is NaN or infinite, before it reaches the gradients"

    def loss(self, seen: Seen, one: Pass) -> Iterator[Finding]:
        """Speak of a loss that is not finite."""
        if seen.hopeless:
            return
        origin, why = None, ""
        try:
            origin = origin_of(seen.replay, one) if one.random.numel() else None
        except CannotReplay as error:
            why = f" Where it began is not known: {error}."
        origin = origin or _lying_open(seen, one)
        yield _finding(seen, one, origin, f"The loss is {one.loss:g} in {seen.batch(one)}", why)

    def gradient(self, seen: Seen) -> Iterator[Finding]:
        """Speak of a gradient that is not finite where the loss is."""
        if seen.hopeless:
            return
        held = [
            (seen.names[id(p)], p.grad) for p in seen.net.parameters() if p.grad is not None and id(p) in seen.rates
        ]
        bad = [name for name, gradient in held if not bool(torch.isfinite(gradient).all())]
        if not bad:
            return
        one = seen.window.passes[-1] if seen.window.passes else None
        origin, why = None, ""
        if one is not None:
            try:
                origin = origin_of(seen.replay, one) or gradient_origin(seen.replay, one)
            except CannotReplay as error:
                why = f" Where it began is not known: {error}."
        name = bad[-1]
        known = one is not None and math.isfinite(one.loss)
        what = f"The gradient is not finite in {seen.batch(one)}{', though the loss is' * known}"
        yield _finding(seen, one, origin or Origin("reached", name, "", "nan"), what, why)


def _finding(seen: Seen, one: Pass | None, origin: Origin | None, what: str, why: str) -> Finding:
    evidence: dict[str, float | str | bool] = {"batch": seen.batches if one is None else one.number}
    if origin is None:
        why = why or " Done again, it is finite: it depends on what is drawn, or the batch was changed since."
        return found("nonfinite-loss", "the loss", f"{what}.{why}", evidence, 1.0)
    evidence |= {"made by": origin.operation or origin.kind, "value": origin.value}
    if origin.samples:
        evidence["samples"] = ", ".join(map(str, origin.samples))
    if origin.kind in ("operation", "reached", "gradient") and seen.losses and seen.first_loss:
        growth = seen.losses[-1] / seen.first_loss
        if growth > ABOVE:
            evidence["loss before, over the first"] = growth
            why += f" The loss before it was {growth:.2g} times the first: look at the rate."
    code = "input-nonfinite" if origin.kind in ("batch", "targets") else "nonfinite-loss"
    return found(code, origin.where, f"{what}: {_words(origin)}.{why}", evidence, 1.0)


def _words(origin: Origin) -> str:
    which = f" (in samples {', '.join(map(str, origin.samples))} of the batch)" if origin.samples else ""
    place = "in the loss" if origin.where == LOSS else f"in {origin.where}" if origin.where else "in the net itself"
    match origin.kind:
        case "batch" | "targets":
            return f"{origin.where} hold{'s' * (origin.kind == 'batch')} {origin.value}{which}"
        case "weights" | "buffer":
            return f"{origin.where} is {origin.value} since an earlier step, which this batch did not cause"
        case "gradient":
            return f"the derivative of {origin.operation} {place} makes it {origin.value} of what is finite"
        case "reached":
            return f"it reaches {origin.where}"
    return f"{origin.operation} makes it {origin.value} {place}{which}, of what is finite"


def _lying_open(seen: Seen, one: Pass) -> Origin | None:
    """What can be told without doing the pass again."""
    for kind, where, values in (
        ("batch", "the batch", (one.args, one.kwargs)),
        ("targets", "the targets", one.loss_args),
        ("weights", "", [p for p in seen.net.parameters()]),
    ):
        for tensor in tensors_of(values):
            if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
                return Origin(kind, where or seen.names.get(id(tensor), "a weight"), "", "nan")
    return None
