"""Dropout: the probability of its layers, of recurrent and attention layers, and of modules that call its function."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from torch import nn

from trainwell.clinic.cures.dropout_calls import milder_calls
from trainwell.clinic.cures.modules import set_dropout
from trainwell.clinic.dropout_calls import dropout_calls, heeds
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import kind_of

PHASE, COST = "training", 0.0
MUCH, NEARLY_ALL = 0.5, 0.9
NOISY, SLIGHT = 0.15, 0.05  # relative variance of what units sum up; probability that is left
LEAST, COSTS = 0.05, 0.06  # of the answers; of the score


@dataclass(frozen=True)
class Dropped:
    """Where units are dropped.

    Attributes:
        name: of the attribute that holds the probability; "" where a call has it as a number.
        probability: as it is set.
        what: is dropped, in words.
    """

    name: str
    probability: float
    what: str


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect layers that drop more than half."""
    yield from _of_answers(subject)
    drops = dropped(subject)
    if not drops or max(drop.probability for drop in drops.values()) <= MUCH:
        yield from _of_few_units(subject)
        return
    where = max(drops, key=lambda path: (drops[path].probability, drops[path].name == "p"))  # a layer before others
    most = drops[where].probability
    above = {path: drop for path, drop in drops.items() if drop.probability > MUCH}
    names = {path: drop.name for path, drop in above.items()}
    told = {path: drop.probability for path, drop in above.items() if drop.name}
    cure = set_dropout(told, names=names) if told else milder_calls(MUCH, most)
    yield Suspicion(
        "dropout-too-high", where, f"{where or 'The model'} drops {100 * most:.0f} % of {drops[where].what} at every "
        "step.",
        {"probability": most, "layers above a half": len(above)},
        prior=0.9 if most >= NEARLY_ALL else 0.7 if most >= 0.75 else 0.35, cures=(cure,),
    )  # fmt: skip


def _of_few_units(subject: Subject) -> Iterator[Suspicion]:
    """Half of few units: a sum over n of them is noisy by p / ((1 − p) n) of its square, and layers add up."""
    noise, before = 0.0, dict[str, float]()
    for layer in subject.chain.layers:
        module = None if layer.kind != "dropout" or layer.path.endswith("()") else subject.module(layer.path)
        if isinstance(module, nn.Dropout) and 0.0 < module.p < 1.0 and len(layer.output_shape) == 1:
            noise += module.p / ((1.0 - module.p) * layer.output_shape[0])
            before[layer.path] = module.p
    if noise > NOISY and not subject.whole.good:
        where = max(before, key=lambda path: before[path])
        yield Suspicion(
            "dropout-too-high", where,
            f"{len(before)} dropouts of up to {100 * before[where]:.0f} % of layers as narrow as these make sums noisy "
            f"by {100 * noise:.0f} % of their square.", {"noise": noise}, prior=0.45,
            cures=(set_dropout(before, SLIGHT),),
        )  # fmt: skip


def _of_answers(subject: Subject) -> Iterator[Suspicion]:
    """A dropout behind the last layer with weights: it puts answers themselves to zero."""
    weighted = [i for i, layer in enumerate(subject.chain.layers) if layer.parameters]
    for layer in subject.chain.layers[weighted[-1] + 1 :] if weighted else ():
        module = None if layer.path.endswith("()") or layer.kind != "dropout" else subject.module(layer.path)
        if isinstance(module, nn.Dropout) and module.p > LEAST:
            yield Suspicion(
                "dropout-too-high", layer.path,
                f"{layer.path} stands behind the last layer and puts {100 * module.p:.0f} % of the answers to zero.",
                {"probability": module.p}, prior=0.9, certain=not subject.whole.good, loss=COSTS,
                cures=(set_dropout({layer.path: module.p}, 0.0),),
            )  # fmt: skip


def dropped(subject: Subject) -> dict[str, Dropped]:
    """Path → what is dropped there."""
    found = dict[str, Dropped]()
    for path, module in subject.program.model.named_modules():
        if kind_of(module) == "dropout" and isinstance(getattr(module, "p", None), float):
            found[path] = Dropped("p", module.p, "its units")
        elif isinstance(module, nn.RNNBase) and module.num_layers > 1:
            found[path] = Dropped("dropout", float(module.dropout), "what its layers hand on to each other")
        elif isinstance(module, nn.MultiheadAttention):
            found[path] = Dropped("dropout", float(module.dropout), "its attention")
    with suppress(Exception):  # a net that cannot be traced
        found |= _called(subject)
    return found


def _called(subject: Subject) -> dict[str, Dropped]:
    """Modules that call the function and hold its probability as an attribute; else the model, with no name of it."""
    found, every = dict[str, Dropped](), list(dropout_calls(subject, training=True))
    known = {call.probability for call in every}
    for path in {layer.path for layer in subject.chain.layers if layer.kind == "dropout"}:
        if not path.endswith("()"):
            continue
        owner = path.rpartition(".")[0]
        held = vars(subject.program.model.get_submodule(owner))
        names = [name for name, value in held.items() if isinstance(value, float) and value in known]
        if len(names) == 1 and heeds(subject, owner, names[0]):
            found[owner] = Dropped(names[0], held[names[0]], "its units")
    if every and not found:
        found[""] = Dropped("", max(known), "units")
    return found
