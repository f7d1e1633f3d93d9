"""Rare classes that the net ignores: counts of the classes, and the recall of each after the rehearsed training.

Imbalance alone is no defect. It is one where the rehearsal's recall of rare classes falls short of that of frequent
ones, and a loss that counts the classes alike raises the mean recall on validation samples.
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.clinic.answers import Answers, answers_of
from trainwell.clinic.cure import Cure, together
from trainwell.clinic.cures.head_and_loss import Balanced, change_loss
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import CAUTIOUS, WELL
from trainwell.clinic.quality import codes as class_codes
from trainwell.clinic.rehearsal import Rehearsal, answers
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0  # reads the rehearsal; its cure is tried where the recall falls short
RATIO, SHORT, GAINED = 4.0, 0.1, 0.08
SO_RARE = 15.0  # ratio at which a net that knows one class alone is taken for one that the others are too rare for
HALF_WAY = 2.0  # times the weight that a class lacks to count as much as another
TURNED, COSTS = 1.5, 0.1  # weight of the commonest class over the rarest's; of the score
RARE = 8.0  # ratio from which a class is missed for its rarity, however far the net has come
SCORED = 1_000  # samples that recall is taken on
MISSED = 0.4  # recall of the rarest class: a net that finds more of it has begun to learn it
SETTLED = 0.02  # accuracy below that of the commonest class: the net has not come that far yet


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect class counts that differ much, where rare classes are missed."""
    with suppress(Exception):  # targets that are no classes
        found = answers_of(subject)
        codes = found.codes()
        if codes is None or found.task not in ("classification", "binary") or not 2 <= found.classes <= 200:
            return
        counts = torch.bincount(codes, minlength=found.classes).double()
        if counts.min() < 2 or counts.max() / counts.min() < RATIO or subject.first_step.error:
            return
        yield from _judged(subject, found, counts)


def _judged(subject: Subject, found: Answers, counts: Tensor) -> Iterator[Suspicion]:
    ratio = float(counts.max() / counts.min())
    evidence: dict[str, float | str | bool] = {"largest over smallest class": ratio}
    favoured = _favours_the_common(subject.program.loss, counts)
    if favoured > TURNED:
        yield Suspicion(
            "class-imbalance", "loss",
            f"The weights of the classes are the wrong way round: the commonest, {ratio:.3g} times as frequent as the "
            f"rarest, counts {favoured:.3g} times as much.", evidence | {"weight over the rarest's": favoured},
            prior=0.9, gain=COSTS, cures=(_weigh_anew(subject, counts, found.onehot),),
        )  # fmt: skip
        return
    cure = weigh(subject, counts, found.onehot)
    if cure is None and favoured > 0 and favoured * ratio > HALF_WAY:
        cure = _weigh_anew(subject, counts, found.onehot)  # weights that do not make up for the counts
    share = bearable(subject)  # of the training: at its own pace a net may just say one class, whatever the weights
    plain = subject.whole if share == 1.0 else subject.slower(share)
    recalls, shares = recall_of(subject, plain, found), counts / counts.sum()
    accuracy = float((recalls.nan_to_num() * shares).sum())  # among samples as common as in training
    mean, rarest = float(recalls.nanmean()), float(recalls[int(counts.argmin())])
    evidence |= {"accuracy": accuracy, "mean recall": mean, "recall of the rarest class": rarest}
    said = f"The commonest class has {ratio:.3g} times as many samples as the rarest, of which {rarest:.0%} are found."
    settled = accuracy > float(shares.max()) - SETTLED or ratio >= RARE
    missed = rarest < MISSED and mean < accuracy - SHORT and settled
    if not missed or cure is None or subject.meter.left < plain.steps + 2 * subject.scoring:
        yield Suspicion("class-imbalance", "train.y", said, evidence, prior=0.05)
        return
    better, slowly = 0.0, subject.whole.factor**-0.5
    for pace in (share, slowly) if share > slowly and rarest == 0.0 else (share,):
        if better - mean < GAINED and subject.meter.left > plain.steps + subject.scoring:
            run = subject.rehearse(cure, steps=plain.steps, share=pace)
            better = max(better, float(recall_of(subject, run, found).nanmean()) if run.finite else 0.0)
    evidence["mean recall with weights"] = better
    gain = better - mean
    if gain < GAINED and ratio >= SO_RARE and rarest == 0.0 and mean < 1 / len(counts) + SETTLED:
        gain = GAINED  # it says one class to all samples, and is right nearly always
    yield Suspicion(
        "class-imbalance", "train.y", said, evidence, prior=0.8 if gain >= GAINED else 0.05,
        certain=gain >= GAINED, loss=max(0.0, gain), gain=gain, cures=(cure,),
    )  # fmt: skip


def _favours_the_common(loss: Any, counts: Tensor) -> float:
    """Weight of the commonest class over that of the rarest; 0 where the loss has none."""
    weight, positive = getattr(loss, "weight", None), getattr(loss, "pos_weight", None)
    if isinstance(positive, Tensor) and positive.numel() == 1 and len(counts) == 2:
        weight = torch.tensor([1.0, float(positive)])
    if not isinstance(weight, Tensor) or len(weight) != len(counts) or float(weight.min()) <= 0:
        return 0.0
    return float(weight[int(counts.argmax())] / weight[int(counts.argmin())])


def _weigh_anew(subject: Subject, counts: Tensor, onehot: bool) -> Cure:
    """Weights for the classes in place of those that the loss has."""
    loss = copy.deepcopy(subject.program.loss)
    for name in ("weight", "pos_weight"):
        if getattr(loss, name, None) is not None:
            setattr(loss, name, None)
    plain = change_loss(lambda old: copy.deepcopy(loss), "take the weights away", loss, f"nn.{type(loss).__name__}()")
    cure = weigh(subject, counts, onehot, loss)
    return plain if cure is None else together([plain, cure])


def bearable(subject: Subject) -> float:
    """The share of the training that is rehearsed: all, or the root where its pace is many times the program's."""
    whole = subject.whole
    hurried = whole.factor > CAUTIOUS**2 and min(whole.train_score, whole.score) < WELL
    return whole.factor**-0.5 if hurried else 1.0


def recall_of(subject: Subject, run: Rehearsal, found: Answers) -> Tensor:
    """Recall of each class (nan where it has no samples), on validation samples if there are some."""
    part = subject.val if subject.val is not None else subject.train
    if run.model is None or not run.finite:
        return torch.full((found.classes,), torch.nan)
    step = max(1, len(part.y) // SCORED)
    x = part.x[::step] if isinstance(part.x, Tensor) else part.x
    y = part.y[::step] if isinstance(part.x, Tensor) else part.y
    state = torch.get_rng_state()
    output = answers(run.model, x)
    torch.set_rng_state(state)
    subject.meter.spend(len(y) / max(1, subject.program.batch_size) / 3)
    truth = y.argmax(1) if found.onehot else torch.searchsorted(found.values, class_codes(y).flatten().contiguous())
    if output.dim() > 1 and output.shape[1] > 1:
        guess = output.argmax(1)
    else:
        cut = 0.5 if bool(((output >= 0) & (output <= 1)).all()) else 0.0
        guess = (output.flatten() > cut).long()
    hits = (guess == truth).double()
    return torch.stack([hits[truth == c].mean() for c in range(found.classes)])


def weigh(subject: Subject, counts: Tensor, onehot: bool = False, loss: Any = None) -> Cure | None:
    """Weights for the classes, inversely proportional to their counts; None where the loss has some already.

    Args:
        subject: whose program is cured.
        counts: of the classes.
        onehot: targets are rows.
        loss: in place of the program's.
    """
    loss = subject.program.loss if loss is None else loss
    weights = (counts.sum() / (len(counts) * counts)).float()
    shown = ", ".join(f"{float(w):.3g}" for w in weights[:6]) + (", …" if len(weights) > 6 else "")
    if (
        getattr(loss, "weight", None) is not None
        or getattr(loss, "pos_weight", None) is not None
        or isinstance(loss, Balanced)
    ):
        return None
    if type(loss) in (nn.CrossEntropyLoss, nn.NLLLoss):
        return change_loss(_weighted("weight", weights), "weigh the classes", loss, _source(loss, "weight", shown))
    if type(loss) is nn.BCEWithLogitsLoss and len(counts) == 2 and not onehot:
        ratio = (counts[0] / counts[1]).float()
        source = _source(loss, "pos_weight", f"{float(ratio):.3g}")
        return change_loss(_weighted("pos_weight", ratio), "weigh the classes", loss, source)
    source = f"the mean over the classes of the loss, weights {shown}"
    return change_loss(lambda old: Balanced(old, weights), "weigh the classes", loss, source)


def _weighted(name: str, values: Tensor) -> Callable[[nn.Module], nn.Module]:
    def make(old: nn.Module) -> nn.Module:
        made = copy.deepcopy(old)
        setattr(made, name, values)
        return made

    return make


def _source(loss: Any, name: str, shown: str) -> str:
    return f"nn.{type(loss).__name__}({name}=torch.tensor([{shown}]))"
