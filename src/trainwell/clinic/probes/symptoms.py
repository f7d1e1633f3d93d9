"""What the losses look like, without a cause: folded below whatever explains it."""

from collections.abc import Iterator

from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0
FLAT, SWINGING = 0.03, 0.5


def probe(subject: Subject) -> Iterator[Suspicion]:
    """A loss that is not finite, does not fall, or swings."""
    whole = subject.whole
    if whole.good:
        return
    opening, curve = curve_of(subject.opening), curve_of(whole)
    if not opening.finite:
        step = len(subject.opening.losses)
        yield Suspicion(
            "nonfinite-loss", f"step {step}", f"The loss is not finite from step {step} on.", {"step": step}, prior=1.0
        )
    elif curve.finite and curve.descent < FLAT:
        yield Suspicion(
            "loss-not-decreasing", "the whole training", f"Over the whole training the loss falls by "
            f"{100 * max(0.0, curve.descent):.1f} %.", {"descent": curve.descent}, prior=0.9,
        )  # fmt: skip
    if opening.finite and opening.swing > SWINGING:
        yield Suspicion(
            "oscillating-loss", "the first steps", f"The loss leaps by {100 * opening.swing:.0f} % of its first value "
            "from step to step.", {"swing": opening.swing}, prior=0.5,
        )  # fmt: skip
