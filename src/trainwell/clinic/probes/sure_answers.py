"""A loss of classes written by hand, asked with sure answers: is a right one better than a wrong one, and a wrong one
still a number?

A loss that forgot its minus sign is least where every answer is wrong; log(softmax(z)) is −∞ where the softmax rounds
to 0, as cross-entropy of logits never is.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from torch import Tensor, nn
from torch.nn.functional import log_softmax, one_hot

from trainwell.clinic.asking import asked, own_loss, written_in
from trainwell.clinic.contract import Contract, contract_of
from trainwell.clinic.cures.head_and_loss import another_loss
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0  # reads the rehearsals
SURE, VERY = 3.0, 300.0  # logits
USUAL: dict[str, type[nn.Module]] = {
    "softmax": nn.CrossEntropyLoss, "log": nn.NLLLoss, "logit": nn.BCEWithLogitsLoss, "probability": nn.BCELoss,
}  # fmt: skip


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a loss of the user's own that prefers wrong answers, or is not a number at sure ones."""
    loss = subject.program.loss
    if written_in(loss, "torch"):
        return
    with suppress(Exception):  # losses that cannot be asked
        contract = contract_of(subject)
        wants = contract.wants or _wanted(contract)
        signs = _signs(contract, wants)
        if signs is None:
            return
        loss = own_loss(loss)
        cure = another_loss(subject, USUAL[wants]())
        right, wrong = (_value(loss, _answer(wants, by * signs), contract.y) for by in (SURE, -SURE))
        if math.isfinite(right) and math.isfinite(wrong) and right > wrong and _turned(loss, contract, signs):
            yield Suspicion(
                "wrong-loss-for-task", "loss", f"The loss prefers wrong answers: it is {wrong:.3g} where all are wrong "
                f"and {right:.3g} where all are right.", {"all right": right, "all wrong": wrong}, prior=0.95,
                gain=max(0.0, 1.0 - subject.whole.score), cures=(cure,),
                explains=frozenset(["lr-too-high", "nonfinite-loss", "exploding-gradient", "oscillating-loss"]),
            )  # fmt: skip
            return
        if subject.whole.finite and subject.opening.finite:
            return
        far = _value(loss, _answer(wants, -VERY * signs), contract.y)
        if math.isfinite(right) and not math.isfinite(far):
            yield Suspicion(
                "nonfinite-loss", "loss", "Where an answer is surely wrong the loss is not a number: a logarithm of a "
                "probability that rounds to 0.", {"loss of a wrong answer": wrong}, prior=0.9, gain=0.5, cures=(cure,),
                explains=frozenset(["lr-too-high", "exploding-gradient", "input-not-normalized", "bad-init-scale"]),
            )  # fmt: skip


def _wanted(contract: Contract) -> str:
    """What a loss would want that is like no other, by the model's answers: one turned round has no least value."""
    head, output = contract.head, contract.output
    if output is not None and output.dim() == 2 and output.shape[1] > 1 and not _is_floats(contract.y):
        return "log" if head.logs else "softmax"
    return "probability" if head.bounded else "logit"


def _turned(loss: Any, contract: Contract, signs: Tensor) -> bool:
    """Whether wrong answers are preferred as shares between 0 and 1 too, of a loss that is like no other."""
    if contract.wants or not _is_floats(contract.y):
        return True
    right, wrong = (_value(loss, (by * signs).sigmoid(), contract.y) for by in (SURE, -SURE))
    return right > wrong


def _is_floats(y: Tensor | None) -> bool:
    return y is not None and y.is_floating_point()


def _signs(contract: Contract, wants: str) -> Tensor | None:
    """1 where the right answer is high, −1 where it is low, in the shape of the output; None of other targets."""
    output, y = contract.output, contract.y
    if output is None or not isinstance(y, Tensor) or wants not in USUAL:
        return None
    if wants in ("softmax", "log"):
        if output.dim() != 2 or y.is_floating_point() or y.shape != output.shape[:1]:
            return None
        return 2.0 * one_hot(y, output.shape[1]).to(output.dtype) - 1.0
    if y.numel() != output.numel() or not bool(((y == 0) | (y == 1)).all()):
        return None
    return 2.0 * y.to(output.dtype).reshape(output.shape) - 1.0


def _answer(wants: str, logits: Tensor) -> Tensor:
    if wants == "log":
        return log_softmax(logits, 1)
    return logits.sigmoid() if wants == "probability" else logits


def _value(loss: Any, output: Tensor, y: Any) -> float:
    try:
        return float(asked(loss, output, y).mean().detach())
    except Exception:
        return math.nan
