"""Momentum and weight decay: how many steps a gradient lives on, and how far decay alone would shrink the weights."""

import math
from collections.abc import Iterator

from torch.optim import SGD, AdamW

from trainwell.clinic.cures.settings import set_betas, set_option
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import STUCK

PHASE, COST = "training", 0.0
LONG = 0.95  # momentum that sums more than twenty gradients
SHRUNK, NOTHING = 2.0, 20.0  # the weights' logarithm: decay alone leaves e⁻² of them; nothing


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect momentum and decay that outweigh the gradient."""
    yield from _momentum(subject)
    yield from _decay(subject)


def _momentum(subject: Subject) -> Iterator[Suspicion]:
    group = subject.optimizer.param_groups[0]
    plain, betas = float(group.get("momentum") or 0.0), group.get("betas")
    beta = plain if plain else float(betas[0]) if betas else 0.0
    if beta <= LONG:
        return
    cure = set_betas(subject, (0.9, float(betas[1]))) if betas and not plain else set_option(subject, "momentum", 0.9)
    yield Suspicion(
        "momentum-too-high", "optimizer.momentum",
        f"A momentum of {beta:g} sums {1 / (1 - beta):.0f} gradients: steps are that many times as large, and swing.",
        {"momentum": beta, "steps that it sums": 1 / (1 - beta)},
        prior=0.9 if beta >= 0.99 else 0.7 if beta >= 0.98 else 0.3, cures=(cure,),
    )  # fmt: skip


def _pulls_to_zero(subject: Subject, shrinks: float) -> bool:
    """Whether decay would leave nothing of the weights, or outweighs the gradient where it is added to one that is then
    normalized, in a training that learns nothing of its samples.
    """
    whole = subject.whole
    if not whole.finite or 1.0 - whole.train_score < STUCK:
        return False
    return shrinks > NOTHING if math.isfinite(shrinks) else _pull_over_gradient(subject) > 1.0


def _prior(subject: Subject, shrinks: float) -> float:
    if _pulls_to_zero(subject, shrinks):
        return 0.9
    return 0.75 if NOTHING < shrinks < math.inf else 0.6 if shrinks > 3 * SHRUNK else 0.35


def _pull_over_gradient(subject: Subject) -> float:
    """Size of weight_decay · w over that of the gradient, at the first step."""
    decay = float(subject.optimizer.param_groups[0].get("weight_decay") or 0.0)
    weights = dict(subject.program.model.named_parameters())
    pull = sum(float((decay * weights[name].detach()).square().sum()) for name in subject.first_step.gradients)
    push = sum(float(gradient.float().square().sum()) for gradient in subject.first_step.gradients.values())
    return math.sqrt(pull / max(push, 1e-30))


def _decay(subject: Subject) -> Iterator[Suspicion]:
    group = subject.optimizer.param_groups[0]
    decay = float(group.get("weight_decay") or 0.0)
    if decay <= 0:
        return
    rate, steps = float(group["lr"]), subject.steps
    adaptive = not isinstance(subject.optimizer, SGD)
    decoupled = isinstance(subject.optimizer, AdamW) or bool(group.get("decoupled_weight_decay"))
    momentum = float(group.get("momentum") or 0.0)
    shrinks = rate * decay * steps / (1 - momentum) if decoupled or not adaptive else math.inf
    strong = decay >= 0.01 if adaptive and not decoupled else shrinks > SHRUNK
    if not strong:
        return
    told = f", which alone would leave {math.exp(-shrinks):.2g} of the weights" if math.isfinite(shrinks) else ""
    numbers = {"weight decay": decay, "share of the weights it leaves": math.exp(-shrinks)}
    yield Suspicion(
        "weight-decay-too-high", "optimizer.weight_decay", f"The weight decay is {decay:g}{told}.",
        numbers, prior=_prior(subject, shrinks),
        cures=(set_option(subject, "weight_decay", decay / 100 if decay <= 1 else 1e-3),),
    )  # fmt: skip
