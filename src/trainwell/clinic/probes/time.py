"""Time: training that ends while the loss still falls."""

from collections.abc import Iterator

from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0
GOOD = 0.9
FEW = 5  # epochs
LONGER = 5


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect too few epochs where the rehearsal of all of them is still on its way."""
    whole = subject.whole
    curve = curve_of(whole)
    if not curve.finite or min(whole.train_score, whole.score) >= GOOD or curve.falling < 0.12:
        return
    epochs = subject.program.epochs
    yield Suspicion(
        "too-few-epochs", "epochs",
        f"After {epochs} epoch{'s' if epochs > 1 else ''} ({subject.steps} steps) the loss is still falling: the last "
        f"third brought {100 * curve.falling:.0f} % of the descent.",
        {"epochs": epochs, "steps": subject.steps, "share of the descent in the last third": curve.falling},
        prior=0.55 if epochs <= FEW else 0.25,
        cures=(set_field(subject, "epochs", LONGER * epochs, factor=LONGER),),
    )  # fmt: skip
