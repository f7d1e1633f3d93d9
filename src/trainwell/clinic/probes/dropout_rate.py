"""Dropout: the probability of its layers."""

from collections.abc import Iterator

from trainwell.clinic.cures.modules import set_dropout
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import kind_of

PHASE, COST = "training", 0.0
MUCH = 0.5


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect layers that drop more than half."""
    drops = {
        path: float(module.p)
        for path, module in subject.program.model.named_modules()
        if kind_of(module) == "dropout" and isinstance(getattr(module, "p", None), float)
    }
    if not drops or max(drops.values()) <= MUCH:
        return
    where = max(drops, key=lambda path: drops[path])
    yield Suspicion(
        "dropout-too-high", where, f"{where} drops {100 * drops[where]:.0f} % of its units at every step.",
        {"probability": drops[where], "layers above a half": sum(p > MUCH for p in drops.values())},
        prior=0.7 if drops[where] >= 0.75 else 0.35, cures=(set_dropout({p: v for p, v in drops.items() if v > MUCH}),),
    )  # fmt: skip
