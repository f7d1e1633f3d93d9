"""The loss against the task: classes as quantities, several labels as one class, quantities as classes."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import torch
from torch import Tensor, nn

from trainwell.clinic.answers import Answers, answers_of
from trainwell.clinic.contract import Contract, contract_of
from trainwell.clinic.cure import Cure, together
from trainwell.clinic.cures.head_and_loss import (
    another_loss,
    ignore_unknown,
    logarithm,
    of_output,
    removable,
    wider_head,
    without,
)
from trainwell.clinic.cures.targets import relabel, reshape, zero_for_minus_one
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.targets import onehot_codes, outsiders
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 2.0
CLASSES = ("classification", "sequence")
FEW_VALUES, MOSTLY = 5, 0.6  # different targets of a question of yes and no; share of them that are 0 or 1


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a loss that measures something else than the task asks for."""
    with suppress(Exception):  # models and losses that cannot be asked
        contract, answers = contract_of(subject), answers_of(subject)
        if contract.output is None or not contract.wants:
            return
        yield from onehot_codes(subject, contract, answers)
        if contract.wants in ("softmax", "log"):
            yield from _classes_expected(subject, contract, answers)
        else:
            yield from _numbers_expected(subject, contract, answers)


def _wrong(code: str, message: str, answers: Answers, cures: list[Cure], loss: float = 0.6) -> Suspicion:
    evidence: dict[str, float | str | bool] = {"different targets": float(len(answers.values)), "task": answers.task}
    return Suspicion(
        code, "loss", message, evidence, prior=0.95, certain=bool(cures), loss=loss, cures=tuple(cures)
    )  # fmt: skip


def _classes_expected(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    outputs, task = contract.outputs, answers.task
    if answers.multihot and answers.y.shape[1] == outputs:
        cure = chained(without_bound(subject, contract), another_loss(subject, nn.BCEWithLogitsLoss()))
        message = "Samples have several labels (rows of the targets do not sum to one), but the loss picks one class."
        yield _wrong("wrong-loss-for-task", message, answers, [cure], 0.3)
    elif (task == "regression" or not answers.labels) and answers.y.is_floating_point() and answers.single:
        cures = [_quantity(subject, contract, answers)] if outputs == 1 else []
        message = "Targets are quantities, but the loss is one of classes."
        yield _wrong("wrong-loss-for-task", message, answers, cures, 1.0)
    elif outputs == 1 and answers.single and answers.labels and len(answers.values) > 1:
        message = (
            "One output for the loss of classes: with a single class every answer is right, and no gradient flows."
        )
        yield _wrong(
            "loss-output-mismatch", message, answers, _classes(subject, contract, answers, binary_first=True), 1
        )
    elif (
        1 < outputs < answers.classes
        and answers.labels
        and contract.takes_codes
        and not answers.multihot
        and float(answers.values[0]) >= 0  # codes below 0 are out of range, whatever the outputs
        and not len(outsiders(answers.values, outputs))
    ):
        wider = wider_head(subject, int(answers.values[-1]) + 1)
        message = f"There are {answers.classes} classes, but the model has {outputs} outputs."
        yield _wrong("loss-output-mismatch", message, answers, [] if wider is None else [wider], 1.0)


def _numbers_expected(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    outputs, wants = contract.outputs, contract.wants
    classes = answers.classes if answers.labels else 0
    many = classes > 2 and answers.single and not answers.onehot
    outside = len(answers.values) > 0 and (float(answers.values[0]) < 0 or float(answers.values[-1]) > 1)
    if outputs > 1 and answers.single and answers.labels and 1 < classes <= outputs and len(_rest(contract)) == 0:
        message = f"Targets are codes of {classes} classes and the model has an output for each, but the loss compares "
        message += "numbers with numbers."
        yield _wrong("wrong-loss-for-task", message, answers, _classes(subject, contract, answers), 0.8)
    elif outputs == 1 and many and answers.task in CLASSES and (answers.given or wants != "values"):
        message = f"The loss treats the codes of {classes} classes as quantities, as if class 2 were twice class 1."
        yield _wrong("wrong-loss-for-task", message, answers, _classes(subject, contract, answers), 0.5)
    elif wants in ("probability", "logit") and outside and _minus_and_plus_one(answers):
        message = "Training targets are −1 and 1, which the loss takes for probabilities: it wants 0 and 1."
        yield _wrong("label-out-of-range", message, answers, [zero_for_minus_one()])
    elif wants in ("probability", "logit") and outside and len(answers.values) > 2 and _same(contract, answers):
        if (strays := _strays(answers)) is not None:
            shown = ", ".join(f"{value:g}" for value in strays.tolist())
            message = f"Targets hold {shown} beside 0 and 1, which the loss takes for probabilities."
            cure = ignore_unknown(subject.program.loss, wants == "logit")
            yield _wrong("label-out-of-range", message, answers, [cure])
        elif answers.single and answers.labels and not (answers.given and answers.task == "regression"):
            message = f"The loss is one of two classes, but the targets have {classes}."
            yield _wrong("wrong-loss-for-task", message, answers, _classes(subject, contract, answers), 0.6)
        else:
            message = "Targets are quantities beyond 0 … 1, but the loss is one of probabilities."
            yield _wrong("wrong-loss-for-task", message, answers, [_quantity(subject, contract, answers)], 0.8)
    elif wants == "values" and outputs == 1 and classes == 2 and answers.task == "binary" and not outside:
        yield from _squared_probability(subject, contract, answers)


def _minus_and_plus_one(answers: Answers) -> bool:
    """Whether training targets are −1 and 1 where validation targets may be 0 and 1."""
    known = set(answers.values.tolist()) <= {-1.0, 0.0, 1.0} and len(answers.values) == 3
    return known and not bool((answers.y == 0).any()) and answers.task in ("binary", "multilabel")


def _strays(answers: Answers) -> Tensor | None:
    """Values other than 0 and 1 that few of the labels of a yes-or-no question have, or None."""
    if answers.task not in ("binary", "multilabel") or len(answers.values) > FEW_VALUES:
        return None
    y = answers.y
    plain = (y == 0) | (y == 1)
    both = bool((y == 0).any() and (y == 1).any())
    if not both or float(plain.double().mean()) < MOSTLY:
        return None
    return answers.values[(answers.values != 0) & (answers.values != 1)]


def _squared_probability(subject: Subject, contract: Contract, answers: Answers) -> Iterator[Suspicion]:
    if contract.head.low < -1e-6 or contract.head.high > 1 + 1e-6:
        return
    cure = chained(without_bound(subject, contract), another_loss(subject, nn.BCEWithLogitsLoss()))
    message = "A squared error of probabilities learns little from answers that are confident and wrong."
    yield replace(_wrong("wrong-loss-for-task", message, answers, [cure], 0.0), prior=0.2, certain=False)


def _same(contract: Contract, answers: Answers) -> bool:
    """One quantity, or one below 0 for each output: not levels 0 … 255, which are probabilities but for their scale."""
    return answers.single or (contract.outputs == answers.y.shape[1] and float(answers.values[0]) < 0)


def _rest(contract: Contract) -> tuple[int, ...]:
    return () if contract.output is None else tuple(contract.output.shape[2:])


def without_bound(subject: Subject, contract: Contract) -> Cure | None:
    """Without the last activation, where it bounds the outputs."""
    last = contract.head.last
    bound = contract.head.low > -1e30 or contract.head.high < 1e30 or contract.head.logs
    if bound and last is not None and removable(subject, last):
        return without(subject, last)
    return None


def chained(*cures: Cure | None) -> Cure:
    """Those of the cures that there are, as one."""
    return together([cure for cure in cures if cure is not None])


def _classes(subject: Subject, contract: Contract, answers: Answers, *, binary_first: bool = False) -> list[Cure]:
    """Cross-entropy of codes with an output for each class; of two classes with one output the binary one."""
    codes = relabel(answers.values, dtype=torch.long, column=False)
    bare, cures = without_bound(subject, contract), list[Cure]()
    if binary_first and answers.classes == 2 and answers.task != "classification":
        ones = relabel(answers.values, dtype=torch.float32, column=True)
        cures.append(chained(bare, ones, another_loss(subject, nn.BCEWithLogitsLoss())))
    loss = another_loss(subject, nn.CrossEntropyLoss())
    if contract.outputs >= answers.classes:
        if bare is None and contract.head.simplex:
            loss = chained(loss, of_output(subject, logarithm, "torch.log(output)"))
        return [*cures, chained(bare, codes, loss)]
    wider = wider_head(subject, answers.classes)
    if wider is not None:
        cures.append(chained(bare, wider, codes, loss))
    return cures


def _quantity(subject: Subject, contract: Contract, answers: Answers) -> Cure:
    """Squared error of the outputs as they are."""
    want = () if contract.output is None else tuple(contract.output.shape[1:])
    before = tuple(answers.y.shape[1:])
    shaped = None if want == before and answers.y.is_floating_point() else reshape(want, before, torch.float32)
    return chained(without_bound(subject, contract), shaped, another_loss(subject, nn.MSELoss()))
