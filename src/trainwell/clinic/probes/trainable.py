"""What training does not move: parameters that are frozen, that the optimizer lacks, or that are never used."""

from collections.abc import Iterator, Mapping

from torch import Tensor

from trainwell.clinic.cures.connections import add_positions, use_layer
from trainwell.clinic.cures.optimizer_parameters import plain_lists, register_lists, train_everything, unfreeze
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.taking_part import cut_off

PHASE, COST = "structure", 1.0  # the first step, which others ask for too

MANY, SOME, FEW = 0.85, 0.6, 0.3  # priors by the share of the weights that stand still
EDGES = (0.5, 0.1)  # shares between them
PLACES = 0.5  # prior of positions that are never added


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Compare the model's parameters with those that get a gradient and those that the optimizer moves."""
    parameters = dict(subject.program.model.named_parameters())
    if not parameters:
        return
    yield from _in_plain_lists(subject)
    yield from _frozen(parameters)
    try:
        covered = subject.covered
    except Exception:  # an optimizer that cannot be built is the matter of the probe of crashes
        covered = set()
    yield from _missing(subject, parameters, covered)
    yield from _unused(subject)


def _in_plain_lists(subject: Subject) -> Iterator[Suspicion]:
    lists = plain_lists(subject.program.model)
    count = sum(p.numel() for layers in lists.values() for layer in layers for p in layer.parameters())
    if not count:
        return
    own = sum(p.numel() for p in subject.program.model.parameters())
    yield Suspicion(
        "parameters-not-in-optimizer", next(iter(lists)),
        f"The layers in {', '.join(lists)} are in a plain list, where the model does not see their {count} parameters: "
        "no optimizer moves them.",
        {"parameters": count, "share of all": round(count / (count + own), 3)},
        prior=MANY, certain=True, loss=0.1, cures=(register_lists(list(lists)),),
    )  # fmt: skip


def _frozen(parameters: Mapping[str, Tensor]) -> Iterator[Suspicion]:
    frozen = {name: p for name, p in parameters.items() if not p.requires_grad}
    if not frozen:
        return
    share = _share(frozen, parameters)
    shape = "all parameters" if len(frozen) == len(parameters) else f"{share:.0%} of the weights"
    yield Suspicion(
        "frozen-parameters", next(iter(frozen)),
        f"{_these(frozen)} ({shape}) do not require a gradient: training leaves them as they are.",
        {"tensors": len(frozen), "share of the weights": round(share, 3)},
        prior=_prior(share, parameters, frozen), certain=len(frozen) == len(parameters),
        loss=1.0 if len(frozen) == len(parameters) else 0.0, cures=(unfreeze(list(frozen)),),
    )  # fmt: skip


def _missing(subject: Subject, parameters: Mapping[str, Tensor], covered: set[str]) -> Iterator[Suspicion]:
    first = subject.first_step
    missing = {
        name: p
        for name, p in parameters.items()
        if p.requires_grad and name not in covered and (name in first.gradients or first.error)
    }
    if not missing:
        return
    share = _share(missing, parameters)
    yield Suspicion(
        "parameters-not-in-optimizer", next(iter(missing)),
        f"{_these(missing)} ({share:.0%} of the weights) get gradients, but the optimizer does not know them.",
        {"tensors": len(missing), "share of the weights": round(share, 3)},
        prior=_prior(share, parameters, missing), certain=not covered, loss=1.0 if not covered else 0.0,
        cures=(train_everything(subject, missing),),
    )  # fmt: skip


def idle(subject: Subject) -> tuple[dict[str, Tensor], float]:
    """Parameters that require a gradient and take no part in the loss, by name, and their share of all weights."""
    first, parameters = subject.first_step, dict(subject.program.model.named_parameters())
    if first.error or not first.gradients:
        return {}, 0.0
    seen = {*first.gradients, *cut_off(subject)}
    unused: dict[str, Tensor] = {name: p for name, p in parameters.items() if p.requires_grad and name not in seen}
    return unused, _share(unused, parameters)


def _unused(subject: Subject) -> Iterator[Suspicion]:
    unused, share = idle(subject)
    if not unused:
        return
    layers, places = tuple(use_layer(subject, unused)), tuple(add_positions(subject, unused))
    prior = (SOME if share > EDGES[0] else FEW) if layers else 0.05
    yield Suspicion(
        "unused-parameters", next(iter(unused)),
        f"{_these(unused)} ({share:.0%} of the weights) take no part in the loss: they get no gradient.",
        {"tensors": len(unused), "share of the weights": round(share, 3)},
        prior=max(prior, PLACES) if places else prior, cures=(*places, *layers),
    )  # fmt: skip


def _share(some: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> float:
    return sum(p.numel() for p in some.values()) / max(1, sum(p.numel() for p in parameters.values()))


def _prior(share: float, parameters: Mapping[str, Tensor], some: Mapping[str, Tensor]) -> float:
    if not any(p.dim() > 1 for p in some.values()):
        return FEW / 2  # scales and shifts alone
    return MANY if share > EDGES[0] else SOME if share > EDGES[1] else FEW


def _these(some: Mapping[str, Tensor]) -> str:
    names = list(some)
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
