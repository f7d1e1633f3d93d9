"""The targets against the loss and the outputs: codes out of range, shapes that broadcast, scales that blow up."""

import math
import warnings
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor, nn

from trainwell.clinic.answers import IGNORED, Answers, answers_of
from trainwell.clinic.contract import Contract, contract_of
from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.head_and_loss import ignore_label
from trainwell.clinic.cures.inputs import after
from trainwell.clinic.cures.rows import keep
from trainwell.clinic.cures.targets import codes_of_rows, relabel, rescale_to_unit, reshape, standardize_targets
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.shaping import Shaped
from trainwell.clinic.subject import Subject
from trainwell.objectives.standardized import StandardizedLoss

PHASE, COST = "contract", 2.0
SCALE = (0.1, 10.0)  # standard deviations and means of targets that a net's first outputs, of size 1, are fit for


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect targets out of range, of another shape than the outputs, or far from the outputs' scale."""
    with suppress(Exception):  # data or losses of a kind that cannot be looked at
        contract, answers = contract_of(subject), answers_of(subject)
        yield from _nonfinite(subject, answers)
        yield from _codes(subject, contract, answers)
        yield from _probabilities(contract, answers)
        yield from _shapes(subject, contract, answers)
        yield from _scale(subject, contract, answers)


def _nonfinite(subject: Subject, answers: Answers) -> Iterator[Suspicion]:
    y = answers.y
    if not y.is_floating_point() or bool(torch.isfinite(y).all()):
        return
    good = torch.isfinite(y.reshape(len(y), -1)).all(1)
    whole = len(y) == subject.batches.n
    cures = (keep(good.nonzero().flatten(), len(y), "leave samples without a target out"),) if whole else ()
    bad = int((~good).sum())
    yield Suspicion(
        "input-nonfinite", "train.y", f"{bad} of {len(y)} training targets are NaN or infinite.",
        {"targets not finite": float(bad)}, prior=1.0, certain=True, loss=1.0, cures=cures,
    )  # fmt: skip


def _codes(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """Class codes for a loss that indexes the outputs with them."""
    indexed = contract.takes_codes or "out of bounds" in subject.first_step.error
    outputs, loss = contract.outputs, subject.program.loss
    if answers.y.is_floating_point() or not indexed or outputs < 2 or answers.y.shape == _shape(contract):
        return
    values = answers.values[answers.values != getattr(loss, "ignore_index", IGNORED)]
    low, high = int(values.min()), int(values.max())
    odd = outsiders(values, outputs)
    if len(odd) and isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        yield Suspicion(
            "label-out-of-range", "train.y",
            f"Some labels are {int(odd)}, which is none of the classes 0 … {outputs - 1}: samples without a label.",
            {"label": float(odd), "outputs": float(outputs)}, prior=1.0, certain=True, loss=1.0,
            cures=(ignore_label(loss, int(odd)),),
        )  # fmt: skip
        return
    if (low >= 0 and high < outputs) or len(values) > outputs:
        return
    yield Suspicion(
        "label-out-of-range", "train.y",
        f"Labels run from {low} to {high}, but {outputs} outputs stand for the classes 0 … {outputs - 1}.",
        {"smallest label": float(low), "largest label": float(high), "outputs": float(outputs)},
        prior=1.0, certain=True, loss=1.0, cures=(relabel(values),),
    )  # fmt: skip


def outsiders(values: Tensor, outputs: int) -> Tensor:
    """The one value, as -1 or 255, that stands apart where all others are the classes 0 … outputs − 1; or nothing."""
    apart = (values < 0) | (values > outputs)
    return values[apart] if int(apart.sum()) == 1 and int((~apart).sum()) == outputs else values[:0]


def _probabilities(contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """Targets of a binary cross-entropy, which must be in 0 … 1."""
    if contract.wants not in ("probability", "logit") or not len(answers.values):
        return
    low, high = float(answers.values[0]), float(answers.values[-1])
    if low >= 0 and high <= 1:
        return
    if len(answers.values) == 2:
        cure = relabel(answers.values)
    elif not answers.single and low >= 0 and answers.task in ("multilabel", "reconstruction", "binary"):
        cure = rescale_to_unit(0.0, high)
    else:
        return  # several classes or a quantity: another loss, not other labels
    yield Suspicion(
        "label-out-of-range", "train.y",
        f"Targets run from {low:g} to {high:g}, but the loss takes them for probabilities, which are in 0 … 1.",
        {"smallest target": low, "largest target": high}, prior=1.0, certain=True, loss=0.5, cures=(cure,),
    )  # fmt: skip


def _shapes(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    output, y = contract.output, contract.y
    if output is None or y is None or not contract.wants or output.shape == y.shape:
        return
    before, want = tuple(y.shape[1:]), tuple(output.shape[1:])
    crash = subject.first_step.stage == "loss"
    said, cure = f"Outputs have the shape {per_sample(want)}, targets {per_sample(before)}", None
    if contract.wants in ("values", "probability", "logit") and y.numel() == output.numel():
        if not crash and (_alike(subject, output, y) or (contract.wants == "values" and _meets(subject, output, y))):
            return
        cure = reshape(want, before, None if y.is_floating_point() else output.dtype)
        said += "." if crash else ": the loss compares every output with every target of the batch."
    elif crash and contract.takes_codes and before == (1,) and len(want) == 1 and want[0] > 1 and answers.integral:
        cure = reshape((), before, torch.long)
        said += "; class codes must have no second axis."
    elif crash and contract.takes_codes and len(want) == 2 and before == want[:1]:
        cure = after(Shaped(axes=(0, 2, 1)), "put the classes on the second axis", "output.transpose(1, 2)")
        said += "; the loss wants the classes on the second axis."
    if cure is not None:
        yield _shape_suspicion(said, crash, (cure,))


def _shape_suspicion(said: str, crash: bool, cures: tuple[Cure, ...]) -> Suspicion:
    return Suspicion(
        "target-shape-mismatch", "train.y", said, {"raises an error": crash},
        prior=1.0, certain=True, loss=1.0 if crash else 0.6, cures=cures,
    )  # fmt: skip


def onehot_codes(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """One-hot rows of whole numbers where codes are wanted: torch takes rows of floats only."""
    crash = subject.first_step.stage == "loss"
    if crash and contract.takes_codes and answers.onehot and not answers.y.is_floating_point():
        said = "Targets are one-hot rows of whole numbers; the loss wants class codes (or rows of floats)."
        yield _shape_suspicion(said, True, (codes_of_rows(),))


def _alike(subject: Subject, output: Tensor, y: Tensor) -> bool:
    """Does the loss put the targets in shape by itself?

    Then it is the same for those put in shape beforehand, or that of a batch is the mean or the sum of its samples:
    a broadcast over the batch is neither.
    """
    n = min(len(y), 16)
    loss = subject.program.loss
    t = y[:n].to(output).reshape(output[:n].shape)
    z = 0.6 * t + 0.4 * t.roll(1, 0)  # of the targets' size: beside far larger ones a difference is lost
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        given = float(loss(z, y[:n]).mean())
        with suppress(Exception):  # a loss that wants them as they are
            if _close(given, float(loss(z, y[:n].reshape(z.shape).to(z.dtype)).mean())):
                return True
        with suppress(Exception):  # a loss that wants several samples
            alone = sum(float(loss(z[i : i + 1], y[i : i + 1]).mean()) for i in range(n))
            return _close(given, alone / n) or _close(given, alone)
    return False


def _meets(subject: Subject, output: Tensor, y: Tensor) -> bool:
    """Is a loss of values 0 where each output is its own target, as it is not where it is compared with all?"""
    if bool((y == y.flatten()[0]).all()):
        return False
    with suppress(Exception), torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here = float(subject.program.loss(y.reshape(output.shape).to(output), y).mean())
        there = float(subject.program.loss(y.flip(0).reshape(output.shape).to(output), y).mean())
        return abs(here) < 1e-6 * abs(there)
    return False


def _close(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7)


def _scale(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    """Quantities far from mean 0 and variance 1."""
    y, head = answers.y, contract.head
    if answers.task not in ("regression", "reconstruction") or contract.wants != "values" or not y.is_floating_point():
        return
    if isinstance(subject.program.loss, StandardizedLoss):
        return
    if (not answers.given and answers.onehot) or head.bounded or head.constant:
        return
    column = y.dim() == 2 and answers.task == "regression"
    flat = y.double() if column else y.double().flatten()
    flat = flat[torch.isfinite(flat).all(1)] if column else flat[torch.isfinite(flat)]
    mean, std = flat.mean(0), flat.std(0)
    large, small = float(torch.maximum(mean.abs().max(), std.max())), float(std.max())
    far = max(math.log10(max(large / SCALE[1], 1.0)), math.log10(max(SCALE[0] / max(small, 1e-30), 1.0)))
    if far < 0.1 or small == 0:
        return
    if head.low >= 0:
        mean, std = torch.zeros_like(mean), flat.square().mean(0).sqrt()
    std = torch.where(std > 0, std, torch.ones_like(std))
    cure = standardize_targets(mean.float(), std.float())
    yield Suspicion(
        "targets-not-normalized", "train.y",
        f"Targets have mean {float(flat.mean()):.4g} and standard deviation {small:.3g}, the net's first answers "
        "about 0 ± 1.",
        {"mean": float(flat.mean()), "standard deviation": small}, prior=min(0.95, 0.5 + 0.3 * far), cures=(cure,),
    )  # fmt: skip


def _shape(contract: Contract) -> torch.Size | None:
    return None if contract.output is None else contract.output.shape


def per_sample(shape: tuple[int, ...]) -> str:
    """The shape of a batch in words: (N, 3)."""
    return f"(N{''.join(f', {n}' for n in shape)}{',' if not shape else ''})"
