"""A net that does not learn, and nothing seen that says why: what most often mends such nets, tried last.

Weights drawn anew by rule, activations that are not flat, a rate ten times as high or low. None is likely by itself;
what names the cause is the trial.
"""

from collections.abc import Iterator
from contextlib import suppress

from trainwell.clinic.cures.activations import exchange_activations, plain_hidden
from trainwell.clinic.cures.initialization import drawable, redraw
from trainwell.clinic.cures.settings import set_rate
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.level import FAST
from trainwell.clinic.signals import BOUNDED
from trainwell.clinic.subject import Subject
from trainwell.clinic.usual import rate_lacks

PHASE, COST = "training", 0.0
POOR = 0.6  # score of both parts below which a net does not learn
ORDERS = 1.0  # of magnitude that the rate may be off the usual one
SELDOM = 0.15  # prior of each


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect the usual ones, the more frequent first, where the rehearsal is slow enough to be believed."""
    whole = subject.whole
    if max(whole.train_score, whole.score) >= POOR or whole.factor > FAST or subject.first_step.error:
        return
    if abs(rate_lacks(subject)) > ORDERS:
        return  # the rate is the matter of its own probe
    evidence = {"training score": whole.train_score, "score": whole.score}
    with suppress(Exception):  # a model that is not followed
        flat = sorted({subject.chain.layers[i].name for i in plain_hidden(subject.chain)} & set(BOUNDED))
        if flat:
            yield Suspicion(
                "vanishing-gradient", "the hidden layers", f"Behind {' and '.join(flat)} gradients shrink from layer "
                "to layer, and the net does not learn.", evidence, prior=SELDOM + 0.03, guessed=True,
                cures=(exchange_activations(subject, flat),),
            )  # fmt: skip
    if any(True for _ in drawable(subject.program.model)):
        yield Suspicion(
            "bad-init-scale", "the weights", "The net does not learn from the weights it starts with.", evidence,
            prior=SELDOM + 0.02, guessed=True, cures=(redraw(subject),),
        )  # fmt: skip
    rate = float(subject.optimizer.param_groups[0]["lr"])
    for code, by, word in (("lr-too-low", 10.0, "low"), ("lr-too-high", 0.1, "high")):
        yield Suspicion(
            code, "optimizer.lr", f"The net does not learn at the rate {rate:g}, which may be too {word}.",
            {**evidence, "rate": rate}, prior=SELDOM, guessed=True, cures=(set_rate(subject, rate * by),),
        )  # fmt: skip
