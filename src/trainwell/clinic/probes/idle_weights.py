"""Large parts of a net that take no part in the loss, where the rest does not learn well without them.

A head that another task needs is idle too, so that it is said only of nets that the rehearsal finds wanting, and of
parts that no cure is known for: one that can be put to use is tried instead (:mod:`trainable`).
"""

from collections.abc import Iterator

from trainwell.clinic.cures.connections import add_positions, use_layer
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.trainable import idle
from trainwell.clinic.subject import Subject
from trainwell.clinic.trials import STUCK

PHASE, COST = "training", 0.0
LARGE, NOTABLE_SHARE = 0.3, 0.1  # share of the weights; of a net that learns nothing


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a forward pass that leaves out what it was built for."""
    unused, share = idle(subject)
    stuck = subject.whole.finite and 1.0 - subject.whole.train_score > STUCK
    if share < (NOTABLE_SHARE if stuck else LARGE) or subject.whole.good:
        return
    if any(True for _ in (*use_layer(subject, unused), *add_positions(subject, unused))):
        return
    name = next(iter(unused))
    yield Suspicion(
        "unused-parameters", name,
        f"{share:.0%} of the weights ({name} and others) take no part in the loss, and what is left does not learn "
        "well: the forward pass leaves them out.", {"tensors": len(unused), "share of the weights": round(share, 3)},
        prior=0.8, certain=True, loss=0.1,
    )  # fmt: skip
