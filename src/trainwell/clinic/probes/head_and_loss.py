"""The model's last layer against the loss, and both against the task: what :mod:`contract` found, judged.

A head that is bounded caps what can be learned, and the cap can be computed: logits within a spread s leave
cross-entropy at log(1 + (C − 1) e⁻ˢ) at least; values within [a, b] leave the share Σ(clip(y) − y)² / Σ(y − ȳ)².
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import nn

from trainwell.clinic.answers import Answers, answers_of
from trainwell.clinic.contract import LOGITS, Contract, Head, contract_of
from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.activations import sigmoid_call
from trainwell.clinic.cures.head_and_loss import (
    OnOutput,
    another_loss,
    change_loss,
    editable,
    log_softmax,
    logarithm,
    logit,
    mean_of,
    of_output,
    removable,
    replace_module,
    without,
)  # fmt: skip
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 2.0
CAPPED = 0.3  # share of the loss of a guess that is left at best, from which on a bounded head is a defect by itself


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect an activation that the loss has already, one that it lacks, or one that cannot reach the targets."""
    with suppress(Exception):  # models and losses that cannot be asked
        contract, answers = contract_of(subject), answers_of(subject)
        if contract.output is None or not contract.wants:
            return
        yield from _columns(subject, contract)
        if contract.head.columns or contract.head.constant:
            yield from _constant(subject, contract, answers)
        elif contract.wants in LOGITS:
            yield from _for_logits(subject, contract, answers)
        elif contract.wants == "log":
            yield from _for_logs(subject, contract)
        elif contract.wants == "probability":
            yield from _for_probabilities(subject, contract, answers)
        elif contract.wants == "values":
            yield from _for_values(subject, contract, answers)
        yield from _reduction(subject, contract)


def _mismatch(message: str, head: Head, cures: list[Cure], loss: float, *, prior: float = 0.95) -> Suspicion:
    where = head.last.path if head.last is not None else "the model's last layer"
    evidence: dict[str, float | str | bool] = {"rows sum to one": head.simplex}
    if math.isfinite(head.low):
        evidence["smallest possible output"] = head.low
    if math.isfinite(head.high):
        evidence["largest possible output"] = head.high
    return Suspicion(
        "loss-output-mismatch", where or "model", message, evidence,
        prior=prior, certain=prior > 0.9, loss=loss, cures=tuple(cures),
    )  # fmt: skip


def _removal(subject: Subject, head: Head) -> list[Cure]:
    return [without(subject, head.last)] if head.last is not None and removable(subject, head.last) else []


def _swap(subject: Subject, head: Head, module: nn.Module) -> list[Cure]:
    if not _is_activation(subject, head) or head.last is None:
        return []
    name = f"{type(module).__name__} in place of {head.last.name}"
    return [replace_module(subject, head.last.path, module, name)]


def _is_activation(subject: Subject, head: Head) -> bool:
    return head.last is not None and head.last.kind == "activation" and editable(subject, head.last)


def _columns(subject: Subject, contract: Contract) -> Iterator[Suspicion]:
    """A softmax over the samples of the batch."""
    head = contract.head
    if not head.columns:
        return
    if contract.wants in LOGITS:
        cures = _removal(subject, head)
    else:
        cures = _swap(subject, head, nn.Softmax(dim=1))
    message = "The softmax runs over the samples of the batch, not over the classes: columns sum to one, rows do not."
    yield _mismatch(message, head, cures, 0.5)


def _constant(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """A softmax over one number is 1."""
    head = contract.head
    if head.columns or head.low != 1.0:
        return
    if answers.task == "regression" or contract.wants in LOGITS:
        cures = _removal(subject, head)
    else:
        cures = _swap(subject, head, nn.Sigmoid())
    yield _mismatch("A softmax over a single output is 1 whatever the weights: nothing can be learned.", head, cures, 1)


def _for_logits(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    head, softmax = contract.head, contract.wants == "softmax"
    if softmax and (head.logs or contract.outputs < 2):
        return  # the softmax of log-probabilities gives the probabilities back
    inside = "a softmax" if softmax else "a sigmoid"
    if head.bounded:
        classes = contract.outputs if softmax else 2
        span = head.spread if softmax else 2 * max(-head.low, 0.0)
        top = math.log(1 + (classes - 1) * math.exp(-min(span, 700.0))) / math.log(classes)
        if not softmax:  # each side for itself: the lower bound caps what is said about 0, the upper about 1
            top = max(_softplus(head.low), _softplus(-head.high)) / math.log(2)
        if top < 0.02:
            return
        cures = _removal(subject, head)
        if not cures and head.simplex and softmax:
            cures = [of_output(subject, logarithm, "torch.log(output)")]
        if not cures and (head.low, head.high) == (0.0, 1.0):
            cures = [of_output(subject, logit, "torch.logit(output)")]
        name = "a softmax" if head.simplex else f"numbers in {head.low:.3g} … {head.high:.3g}"
        message = (
            f"The model ends in {name}, but the loss applies {inside} itself: even a perfect answer keeps "
            f"{top:.0%} of the loss of a guess."
        )
        yield _mismatch(message, head, cures, 0.5 * top, prior=0.95 if top >= CAPPED else 0.3 + top)
    elif head.low >= 0 or head.high <= 0:
        side = "below" if head.low >= 0 else "above"
        name = head.last.name if head.last is not None else "model"
        message = f"The model's last step ({name}) gives no number {side} 0 where the loss, with {inside} of its own, "
        message += "wants logits of both signs."
        prior = 0.7 if softmax else 0.95
        yield _mismatch(message, head, _removal(subject, head), 0.3, prior=prior)


def _softplus(z: float) -> float:
    return max(z, 0.0) + math.log1p(math.exp(-abs(z))) if math.isfinite(z) else (0.0 if z < 0 else 30.0)


def _for_logs(subject: Subject, contract: Contract) -> Iterator[Suspicion]:
    head = contract.head
    if head.logs or contract.outputs < 2 or (head.high <= 0 and not math.isfinite(head.low)):
        return
    if head.simplex:
        said = "The model ends in probabilities, but the loss wants their logarithms"
        cures = [*_swap(subject, head, nn.LogSoftmax(dim=1)), of_output(subject, logarithm, "torch.log(output)")]
    else:
        said = "The model gives numbers without a log_softmax, but the loss takes them for log-probabilities"
        if type(subject.program.loss) is nn.NLLLoss:
            cures = [another_loss(subject, nn.CrossEntropyLoss())]
        else:
            cures = [of_output(subject, log_softmax, "output.log_softmax(1)")]
        if head.low > -math.inf or head.high < math.inf:
            cures = _swap(subject, head, nn.LogSoftmax(dim=1)) or cures
    yield _mismatch(f"{said}: it has no lower bound that means a right answer.", head, cures, 0.4)


def _for_probabilities(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    head = contract.head
    if head.low >= -1e-6 and head.high <= 1 + 1e-6:
        if head.simplex and (answers.multihot or answers.task == "multilabel"):
            message = "The softmax lets one label in only at the cost of the others, but samples have several labels."
            last = head.last
            if last is not None and last.path.endswith("()") and removable(subject, last):
                cures = [sigmoid_call(subject, last)]
            else:
                cures = _swap(subject, head, nn.Sigmoid())
            yield _mismatch(message, head, cures, 0.3)
        return
    if type(subject.program.loss) is nn.BCELoss and not (head.low > -math.inf or head.high < math.inf):
        cures = [another_loss(subject, nn.BCEWithLogitsLoss())]
    elif head.low > -math.inf or head.high < math.inf:
        cures = _swap(subject, head, nn.Sigmoid()) or [of_output(subject, torch.sigmoid, "torch.sigmoid(output)")]
    else:
        cures = [of_output(subject, torch.sigmoid, "torch.sigmoid(output)")]
    message = "The loss wants probabilities in 0 … 1, but no sigmoid keeps the model's outputs there."
    yield _mismatch(message, head, cures, 1.0 if subject.first_step.error else 0.4)


def _for_values(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """The share of the targets' variance that is beyond the head's bounds."""
    head, y = contract.head, answers.y.double()
    if head.low == -math.inf and head.high == math.inf:
        return
    spread = float((y - y.mean(0)).square().sum())
    if spread == 0 or not math.isfinite(spread):
        return
    lost = min(1.0, float((y.clamp(head.low, head.high) - y).square().sum()) / spread)
    if lost < NOTABLE:
        return
    share = float(((y < head.low) | (y > head.high)).double().mean())
    message = (
        f"Outputs lie in {head.low:.3g} … {head.high:.3g}, but {share:.0%} of the targets do not: "
        f"{lost:.0%} of their variance cannot be learned."
    )
    found = _mismatch(message, head, _removal(subject, head), min(1.0, 0.9 * lost + 0.05))
    yield found


def _reduction(subject: Subject, contract: Contract) -> Iterator[Suspicion]:
    """A loss of one number a sample, or a sum over the samples."""
    output, y = contract.output, contract.y
    if output is None or y is None:
        return
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = subject.program.loss(output, y)
        except Exception:  # another finding says why
            return
        if value.numel() > 1:
            message = "The loss gives one number a sample; a step needs one number, their mean."
            cure = change_loss(lambda loss: _Mean(loss), "take the mean of the loss", subject.program.loss, "the mean")
            yield Suspicion(
                "loss-output-mismatch", "loss", message, {"numbers": float(value.numel())},
                prior=1.0, certain=True, loss=1.0, cures=(cure,),
            )  # fmt: skip
            return


class _Mean(OnOutput):
    """The mean of a loss."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__(loss, mean_of)

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return self.change(self.loss(output, target))
