"""Weights that are plain tensors: neither parameters nor buffers, so that no optimizer is given them.

One that requires a gradient was meant to learn. One that does not may be meant so (a table of sines, a mask, random
features): only what takes part and looks drawn at random is suspected, and trying it as a parameter decides. Tables
that rows are looked up in learn too slowly for a trial, each row from the few samples that name it: of a net that does
not learn well they are a defect by themselves.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from trainwell.clinic.cures.plain_tensors import Plain, plain_tensors, register_tensors
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.private import built
from trainwell.clinic.subject import Subject
from trainwell.clinic.taking_part import Reading, SameBatch

PHASE, COST = "structure", 1.0  # two forward passes and one for each suspect, where there are any

DRAWN, SURE = 0.5, 0.85  # priors of what looks drawn at random, and of what was meant to learn
LARGE = 0.1  # share of all weights from which a table is a defect by itself
DISTINCT = 0.9  # share of distinct values of what is drawn
ERRORS = 4.0  # standard errors
NUMBERS = 50_000  # of a tensor that are looked at
MOST = 6  # suspects that are asked whether they take part


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect plain tensors that learn into the void, and those that look like weights and take part."""
    if subject.first_step.error:
        return
    plain = [one for one in plain_tensors(subject.program.model) if _learns(one) or drawn_at_random(one)]
    plain, tables = _taking_part(subject, [one for one in plain if not _moved(subject, one)][:MOST])
    learning, fixed = [one for one in plain if _learns(one)], [one for one in plain if not _learns(one)]
    if learning:
        what = "get gradients but are no parameters: optimizer and state_dict do not know them."
        yield _suspicion(learning, _share(subject, learning), what, sure=True)
    elif fixed:
        what = "look drawn at random and are plain tensors, no nn.Parameter: they stay as they are."
        share = _share(subject, fixed)
        yield _suspicion(fixed, share, what, sure=tables and share >= LARGE and not subject.whole.good)


def _suspicion(plain: list[Plain], share: float, what: str, sure: bool) -> Suspicion:
    count = sum(tensor.numel() for one in plain for tensor in one.tensors)
    return Suspicion(
        "parameters-not-in-optimizer", plain[0].path,
        f"The {count} numbers of {', '.join(one.path for one in plain)} {what}",
        {"numbers": count, "share of all": round(share, 3)},
        prior=SURE if sure else DRAWN, certain=sure, loss=0.1 if sure else 0.0, cures=(register_tensors(plain),),
    )  # fmt: skip


def _share(subject: Subject, plain: list[Plain]) -> float:
    count = sum(tensor.numel() for one in plain for tensor in one.tensors)
    return count / (count + sum(p.numel() for p in subject.program.model.parameters()))


def _learns(one: Plain) -> bool:
    return all(tensor.requires_grad for tensor in one.tensors)


def drawn_at_random(one: Plain) -> bool:
    """Whether all its tensors are matrices or more, of many values about 0 that do not follow from their neighbours."""
    return all(tensor.dim() > 1 and _drawn(_some(tensor.detach()).double().cpu()) for tensor in one.tensors)


def _some(tensor: Tensor) -> Tensor:
    """The first rows of one with more numbers than are looked at."""
    return tensor[: max(2, len(tensor) * NUMBERS // tensor.numel())] if tensor.numel() > NUMBERS else tensor


def _drawn(values: Tensor) -> bool:
    n, spread = values.numel(), float(values.std()) if values.numel() > 1 else 0.0
    if n < 8 or not math.isfinite(spread) or spread == 0 or len(values.unique()) < DISTINCT * n:
        return False
    if abs(float(values.mean())) > ERRORS * spread / math.sqrt(n):
        return False
    for dim in range(values.dim()):
        if (pairs := n // values.shape[dim] * (values.shape[dim] - 1)) < 1:
            continue
        a, b = values.narrow(dim, 0, values.shape[dim] - 1), values.narrow(dim, 1, values.shape[dim] - 1)
        if abs(float((a * b).mean())) > ERRORS * spread**2 / math.sqrt(pairs):
            return False
    return True


def _moved(subject: Subject, one: Plain) -> bool:
    """Whether the user's optimizer holds such tensors, though they are not the model's."""
    try:
        program = subject.fresh()
        own = {id(p) for p in program.model.parameters()}
        groups = built(program).param_groups
    except Exception:  # an optimizer that cannot be built is the matter of the probe of crashes
        return False
    strange = [tuple(p.shape) for group in groups for p in group["params"] if id(p) not in own]
    strange += getattr(subject.program.optimizer, "strangers", [])
    return all(tuple(tensor.shape) in strange for tensor in one.tensors)


def _taking_part(subject: Subject, plain: list[Plain]) -> tuple[list[Plain], bool]:
    """Those whose values the loss depends on, and that the forward pass itself leaves alone; whether all are tables."""
    if not plain:
        return [], False
    trial = SameBatch(subject)
    before = {one.path: [t.detach().clone() for t in one.tensors] for one in plain_tensors(trial.model)}
    with Reading() as seen:
        loss = trial.loss()
    if not math.isfinite(loss) or trial.loss() != loss:
        return [], False
    after = {one.path: one.tensors for one in plain_tensors(trial.model)}
    found, tables = list[Plain](), True
    for one in plain:
        now = after.get(one.path, ())
        kept = len(now) == len(one.tensors) and all(map(torch.equal, now, before[one.path]))
        if kept and trial.matters(now, loss):
            found.append(one)
            tables = tables and all(id(tensor) in seen.tables for tensor in now)
    return found, tables
