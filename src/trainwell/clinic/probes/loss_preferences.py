"""What a loss prefers, asked with answers made of the targets: a loss that measures only something near the task.

A cosine or a correlation takes three times the target for as good as the target; an absolute error of targets that are
mostly zero is least where all answers are zero; an overlap of raw scores falls below its least value; a margin of 0 and
1 says nothing of the zeros.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.answers import Answers, answers_of
from trainwell.clinic.asking import asked, own_loss, written_in
from trainwell.clinic.contract import Contract, contract_of
from trainwell.clinic.cures.head_and_loss import another_loss, of_output
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
SHARE = 0.4  # of the targets that have one value, from which on it outweighs the others
SAME, BETTER = 1e-4, 1e-2  # of the loss of an answer drawn at random: no difference; a clear one
SOME_OF_EACH = 0.1  # share of the targets that are 0, and that are 1
MOST = 0.5  # of the others get a gradient
TRIES = 4


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a loss whose least value is reached by other answers than the targets, or that skips some of them."""
    with suppress(Exception):  # losses that cannot be asked
        contract, answers = contract_of(subject), answers_of(subject)
        output, y = contract.output, contract.y
        if output is None or y is None or contract.wants not in ("", "values"):
            return
        loss = own_loss(subject.program.loss)
        unread = _unread(subject, loss, output, y)
        if unread is not None:
            yield unread
        if unread is not None or not y.is_floating_point() or y.shape != output.shape:
            return
        found = _skipped(subject, loss, contract) or _scaled(subject, loss, y)
        found = found or _constant(subject, loss, answers, y) or _overlap(subject, loss, contract)
        if found is not None:
            yield found


def _unread(subject: Subject, loss: Any, output: Tensor, y: Tensor) -> Suspicion | None:
    """Outputs that the loss does not look at, of a model with one for each class."""
    if output.dim() != 2 or output.shape[1] < 2 or y.is_floating_point() or y.dim() != 1:
        return None
    generator = torch.Generator().manual_seed(0)
    read = torch.zeros(output.shape[1], dtype=torch.bool, device=output.device)
    for _ in range(TRIES):
        z = torch.randn(output.shape, generator=generator).to(output).requires_grad_()
        (gradient,) = torch.autograd.grad(asked(loss, z, y).mean(), z)
        read |= (gradient.detach() != 0).any(0)
    if bool(read.all()) or int(y.max()) >= output.shape[1] or int(y.min()) < 0:
        return None
    return Suspicion(
        "wrong-loss-for-task", "loss", f"Of the {len(read)} outputs the loss reads {int(read.sum())}: the others are "
        "never told anything.", {"outputs": float(len(read)), "outputs read": float(read.sum())}, prior=0.95,
        certain=True, loss=0.4, cures=(another_loss(subject, nn.CrossEntropyLoss()),),
    )  # fmt: skip


def _skipped(subject: Subject, loss: Any, contract: Contract) -> Suspicion | None:
    """Targets of 0 or of 1 for which no answer gets a gradient."""
    y = contract.y
    assert y is not None
    if contract.wants or not bool(((y == 0) | (y == 1)).all()) or contract.head.bounded:
        return None
    generator = torch.Generator().manual_seed(0)
    moved = torch.zeros_like(y, dtype=torch.bool)
    for _ in range(TRIES):
        z = (2 * torch.randn(y.shape, generator=generator).to(y)).requires_grad_()
        (gradient,) = torch.autograd.grad(asked(loss, z, y).mean(), z)
        moved |= gradient.detach().abs() > 0
    for value in (0, 1):
        share, learned = float((y == value).float().mean()), bool(moved[y == value].any())
        if SOME_OF_EACH < share < 1 - SOME_OF_EACH and not learned and float(moved[y != value].float().mean()) > MOST:
            return Suspicion(
                "label-out-of-range", "loss", f"Samples whose target is {value} give no gradient, whatever is "
                "answered: the loss wants other labels than 0 and 1.", {"share of these targets": share}, prior=0.95,
                certain=True, loss=0.3, cures=(another_loss(subject, nn.BCEWithLogitsLoss()),),
            )  # fmt: skip
    return None


def _scaled(subject: Subject, loss: Any, y: Tensor) -> Suspicion | None:
    """A loss to which three times the target is as right as the target."""
    if subject.task not in ("regression", "reconstruction"):
        return None
    here, apart = _value(loss, y, y), _value(loss, y.roll(1, 0), y)  # the next sample's: nothing to do with its own
    if not apart > here or abs(_value(loss, 3 * y, y) - here) > SAME * (apart - here):
        return None
    return Suspicion(
        "wrong-loss-for-task", "loss", "The loss takes three times the target for as right as the target itself: it "
        "does not see the size of an answer.", {"at the targets": here, "at answers drawn at random": apart},
        prior=0.8, cures=(another_loss(subject, nn.MSELoss()),),
    )  # fmt: skip


def _constant(subject: Subject, loss: Any, answers: Answers, y: Tensor) -> Suspicion | None:
    """A loss that a constant answer of the commonest target makes smaller than their mean does."""
    values, counts = y.unique(return_counts=True)
    common, share = float(values[counts.argmax()]), float(counts.max()) / y.numel()
    if share < SHARE or len(values) < 2:
        return None
    mean = _value(loss, y.mean(0, keepdim=True).expand_as(y).contiguous(), y)
    if not _value(loss, torch.full_like(y, common), y) < mean * (1 - BETTER):
        return None
    usual = nn.CrossEntropyLoss() if answers.onehot and y.dim() == 2 and y.shape[1] > 2 else nn.MSELoss()
    return Suspicion(
        "wrong-loss-for-task", "loss", f"{share:.0%} of the targets are {common:g}, and to answer that always makes "
        "the loss smaller than the mean of the targets does: a median, which forgets the rest.",
        {"commonest target": common, "its share": share}, prior=0.5, cures=(another_loss(subject, usual),),
    )  # fmt: skip


def _overlap(subject: Subject, loss: Any, contract: Contract) -> Suspicion | None:
    """A loss of the user's own, of targets in 0 … 1, that answers beyond them make smaller than the targets do."""
    y = contract.y
    assert y is not None
    if contract.wants or written_in(loss, "torch") or contract.head.bounded or float(y.min()) < 0 or float(y.max()) > 1:
        return None
    here = _value(loss, y, y)
    if not _value(loss, 3 * y, y) < here - BETTER * (1 + abs(here)):
        return None
    return Suspicion(
        "loss-output-mismatch", "loss", "Targets are in 0 … 1, but answers beyond them make the loss smaller still: it "
        "wants probabilities, and the model gives numbers without bounds.", {"at the targets": here}, prior=0.4,
        cures=(of_output(subject, torch.sigmoid, "torch.sigmoid(output)"),),
    )  # fmt: skip


def _value(loss: Any, z: Tensor, y: Tensor) -> float:
    value = float(asked(loss, z, y).mean().detach())
    return value if math.isfinite(value) else math.nan
