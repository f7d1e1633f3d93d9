"""Dropout called as a function that was never told the mode: in evaluation it drops too, and answers are by chance."""

from collections.abc import Iterator
from contextlib import suppress

from trainwell.clinic.cures.dropout_calls import none_in_evaluation
from trainwell.clinic.dropout_calls import dropout_calls
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.meter import FORWARD
from trainwell.clinic.subject import Subject

PHASE, COST = "training", FORWARD
MUCH = 0.25  # of the units, from which on answers suffer


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect dropout that evaluation does not stop."""
    if subject.whole.good:
        return
    with suppress(Exception):  # models that only their own step can call
        calls = [call for call in dropout_calls(subject, training=False) if call.training]
        most = max((call.probability for call in calls), default=0.0)
        if most >= MUCH:
            yield Suspicion(
                "wrong-mode", "forward", f"A call of dropout puts {most:.0%} of its units to zero in evaluation too: "
                "it was not told the mode, and answers are by chance.", {"calls": len(calls), "probability": most},
                prior=0.8, cures=(none_in_evaluation(),),
            )  # fmt: skip
