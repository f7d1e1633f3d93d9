"""Time: training that ends while the loss still falls."""

from collections.abc import Iterator

from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import rate_lacks, steps_lack

PHASE, COST = "training", 0.0
FEW, MANY = 3, 10  # epochs
LONGER = 5
FALLING = 0.12  # share of the descent in the last third
SHORT = 0.7  # a fifth of the usual steps, log₁₀: too few to tell from the noise whether the loss still falls


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect too few epochs where the rehearsal of all of them is still on its way."""
    whole = subject.whole
    curve = curve_of(whole)
    lacking, short = rate_lacks(subject), steps_lack(subject)
    falling = curve.falling >= FALLING or short > SHORT
    if not whole.finite or whole.good or not falling:
        return
    epochs = subject.program.epochs
    yield Suspicion(
        "too-few-epochs", "epochs",
        f"After {epochs} epoch{'s' if epochs > 1 else ''} ({subject.steps} steps) the loss is still falling: the last "
        f"third brought {100 * curve.falling:.0f} % of the descent.",
        {"epochs": epochs, "steps": subject.steps, "share of the descent in the last third": curve.falling},
        prior=min(0.75, max(0.05, (0.05 + 0.8 * short + 0.1 * (epochs <= FEW)) * (1.0 if epochs < MANY else 0.5))),
        cures=(set_field(subject, "epochs", LONGER * epochs, factor=LONGER),),
        explains=frozenset(["lr-too-low"] if short >= lacking else []),
    )  # fmt: skip
