"""Where the loss is least, of a loss that is none of the known kinds: at the targets, or far away, or with no gradient.

The loss is asked with the batch's own targets as the answer, and with answers beyond them along fixed directions.
"""

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.asking import asked, own_loss
from trainwell.clinic.contract import Contract, contract_of
from trainwell.clinic.cures.head_and_loss import another_loss, of_output
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
FAR = (0.0, 10.0, 100.0, 1000.0)  # standard deviations of the targets
ROWS = 2_000  # samples that are asked one by one where the loss of all is no number
INSIDE = 1e-3  # how far inside of 0 … 1 a loss of probabilities must be a number
FALLS = 10.0  # least fall of the loss, in units of its size at the targets, along the way out


def kept_inside(p: Tensor) -> Tensor:
    """Probabilities kept off 0 and 1."""
    return p.clamp(1e-6, 1 - 1e-6)


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a loss that falls without end away from the right answer, or whose gradient is not a number there."""
    with suppress(Exception):  # losses that cannot be asked
        contract = contract_of(subject)
        target = _as_answer(contract)
        if target is None or contract.wants in ("softmax", "log", "logit", "probability"):
            return
        loss = own_loss(subject.program.loss)
        state = torch.get_rng_state()
        try:
            broken = list(_of_some_targets(subject, loss, contract))
            yield from broken or _asked(subject, loss, target, contract.y)
        finally:
            torch.set_rng_state(state)


def _as_answer(contract: Contract) -> Tensor | None:
    """The targets in the shape of the output, or None where they are no numbers to be hit."""
    output, y = contract.output, contract.y
    if output is None or y is None or not y.is_floating_point() or output.numel() != y.numel():
        return None
    return y.detach().reshape(output.shape).to(output.dtype)


def _of_some_targets(subject: Subject, loss: Any, contract: Contract) -> Iterator[Suspicion]:
    """A loss that is no number for some of the targets, whatever is answered: one that divides by them, say."""
    y, output = subject.train.y, contract.output
    if subject.task != "regression" or output is None or y.shape[1:] != output.shape[1:] or len(y) < 2:
        return
    spread = float(y.double().std()) or 1.0
    draw = torch.Generator().manual_seed(0)
    answers = [(y + spread * torch.randn(y.shape, generator=draw).to(y)).to(output.dtype) for _ in range(3)]
    whole = [_value(loss, answer, y)[0] for answer in answers]
    if any(map(math.isfinite, whole)):
        return
    asked = min(len(y), ROWS)
    alone = [_value(loss, answers[0][i : i + 1], y[i : i + 1])[0] for i in range(asked)]
    each = [i for i, value in enumerate(alone) if not math.isfinite(value)]
    if not 0 < len(each) <= asked / 2:
        return
    worst = float(y[each[0]].flatten()[0])
    yield Suspicion(
        "nonfinite-loss", "loss", f"For a target of {worst:g} the loss is not a number, whatever is answered: "
        f"{len(each)} of {asked} samples make all weights NaN.", {"samples": len(each), "target": worst},
        prior=0.95, certain=True, loss=0.5, cures=(another_loss(subject, nn.MSELoss()),),
        explains=frozenset(["lr-too-high", "exploding-gradient", "dead-relu"]),
    )  # fmt: skip


def _asked(subject: Subject, loss: Any, target: Tensor, y: Any) -> Iterator[Suspicion]:
    squared = another_loss(subject, nn.MSELoss())
    value, gradient = _value(loss, target, y)
    if math.isfinite(value) and gradient is not None and not bool(torch.isfinite(gradient).all()):
        yield Suspicion(
            "nonfinite-loss", "loss", "Where an answer is exactly right the gradient of the loss is not a number: one "
            "such sample makes all weights NaN.", {"loss at the targets": value}, prior=0.9, cures=(squared,),
            explains=frozenset(["lr-too-high", "exploding-gradient", "dead-relu"]),
        )  # fmt: skip
        return
    inside = INSIDE + (1 - 2 * INSIDE) * target
    if math.isnan(value) and 0 <= float(target.min()) <= float(target.max()) <= 1:
        beside = _value(loss, inside, y)[0]
        if math.isfinite(beside):
            yield Suspicion(
                "nonfinite-loss", "loss", "Where an answer is exactly 0 or 1 the loss is not a number: the surer the "
                "net becomes, the sooner all weights are NaN.", {"loss beside the targets": beside}, prior=0.9,
                certain=True, loss=0.3, cures=(of_output(subject, kept_inside, "output.clamp(1e-6, 1 - 1e-6)"),),
                explains=frozenset(["lr-too-high", "exploding-gradient", "dead-relu"]),
            )  # fmt: skip
        return
    spread = float(target.std(correction=0)) or 1.0
    generator = torch.Generator().manual_seed(0)
    ways = [torch.ones_like(target), -torch.ones_like(target)]
    ways += [torch.randn(target.shape, generator=generator).to(target) for _ in range(2)]
    for way in ways:
        out = [_value(loss, target + by * spread * way, y)[0] for by in FAR]
        steps = [a - b for a, b in itertools.pairwise(out)]
        if all(math.isfinite(v) for v in out) and min(steps) > 0 and steps[-1] > FALLS * (1 + abs(out[0])):
            yield Suspicion(
                "wrong-loss-for-task", "loss", "The loss falls without end as answers move away from the targets: "
                "training makes the error as large as it can.", {"at the targets": out[0], "far away": out[-1]},
                prior=0.95, cures=(squared,),
                explains=frozenset(["lr-too-high", "nonfinite-loss", "exploding-gradient", "oscillating-loss"]),
            )  # fmt: skip
            return


def _value(loss: Any, output: Tensor, y: Any) -> tuple[float, Tensor | None]:
    """The loss of an answer, and its gradient; nan where it is refused."""
    output = output.detach().clone().requires_grad_()
    try:
        value = asked(loss, output, y)
        (gradient,) = torch.autograd.grad(value, output)
    except Exception:
        return math.nan, None
    return float(value.detach()), gradient
