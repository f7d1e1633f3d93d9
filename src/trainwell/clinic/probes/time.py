"""Time: training that ends while the loss still falls."""

from collections.abc import Iterator

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.cures.settings import set_field, stretch_schedule
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import peak_rate, rate_lacks, steps_lack

PHASE, COST = "training", 0.0
FEW, MANY = 3, 10  # epochs
LONGER = 5
LOW = 0.1  # of the peak rate
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
    epochs, annealed = subject.program.epochs, _annealed(subject)
    yield Suspicion(
        "too-few-epochs", "epochs",
        f"After {epochs} epoch{'s' if epochs > 1 else ''} ({subject.steps} steps) the loss is still falling: the last "
        f"third brought {100 * curve.falling:.0f} % of the descent.",
        {"epochs": epochs, "steps": subject.steps, "share of the descent in the last third": curve.falling},
        prior=(0.5 if annealed else 1.0) * _prior(epochs, short), cures=(_longer(subject, epochs),),
        explains=frozenset(["lr-too-low"] if short >= lacking else []),
    )  # fmt: skip


def _prior(epochs: int, short: float) -> float:
    return min(0.75, max(0.05, (0.05 + 0.8 * short + 0.1 * (epochs <= FEW)) * (1.0 if epochs < MANY else 0.5)))


def _annealed(subject: Subject) -> bool:
    """Whether a schedule takes the rate to next to nothing: the loss then falls most at the end, however long it is."""
    return subject.program.scheduler is not None and float(subject.rates[-1]) < LOW * peak_rate(subject)


def _longer(subject: Subject, epochs: int) -> Cure:
    """Several times the epochs, and over them the schedule that was made for fewer."""
    cure = set_field(subject, "epochs", LONGER * epochs, factor=LONGER)
    if subject.program.scheduler is None:
        return cure
    return together([stretch_schedule(subject, subject.steps, LONGER * subject.steps), cure])
