"""Capacity: a net too small for what it has to learn, by its narrowest hidden layer and a training score that rests."""

from collections.abc import Iterator

from trainwell.clinic.cures.width import widened
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.rehearsal import GOOD
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0
NARROW = 8  # units of a hidden layer


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a net without hidden layers, or with very narrow ones, whose training score stays low."""
    whole = subject.whole
    if not whole.finite or whole.train_score >= GOOD:
        return
    if any(layer.parameters for layer in subject.chain.of_kind("other")):
        return  # recurrent layers and attention: their width is not seen here
    weighted = [layer for layer in subject.chain.layers if layer.kind in ("linear", "conv")]
    hidden = weighted[:-1]
    narrowest = min((layer.output_shape[0] for layer in hidden if layer.output_shape), default=0)
    if hidden and narrowest > NARROW:
        return
    cure = widened(subject)
    what = f"its narrowest hidden layer has {narrowest} units" if hidden else "it has no hidden layer"
    curve = curve_of(whole)
    yield Suspicion(
        "underfitting-capacity", hidden[0].path if hidden else "model",
        f"The net is small: {what}, and its training score rests at {whole.train_score:.2f}.",
        {"narrowest hidden layer": narrowest, "training score": whole.train_score, "falling": curve.falling},
        prior=0.6 if narrowest <= NARROW // 2 else 0.2, cures=() if cure is None else (cure,),
    )  # fmt: skip
