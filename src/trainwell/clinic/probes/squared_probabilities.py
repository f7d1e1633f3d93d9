"""A squared error of a softmax's probabilities, where training gets nowhere with it.

Its gradient goes through the softmax's slope p(1 − p) twice: sure answers that are wrong hardly move. Many nets learn
with it all the same, so that it is looked at only where the rehearsal does not.
"""

from collections.abc import Iterator
from contextlib import suppress

from torch import nn

from trainwell.clinic.answers import answers_of
from trainwell.clinic.contract import contract_of
from trainwell.clinic.cures.head_and_loss import another_loss
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.task_and_loss import chained, without_bound
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect the loss where rows of the output are probabilities and it compares numbers with numbers."""
    with suppress(Exception):  # models and losses that cannot be asked
        contract, answers = contract_of(subject), answers_of(subject)
        simplex = contract.wants == "values" and contract.head.simplex and (answers.onehot or contract.takes_codes)
        bare = without_bound(subject, contract) if simplex else None
        if bare is None or subject.whole.good:
            return
        yield Suspicion(
            "wrong-loss-for-task", "loss", "A squared error of a softmax's probabilities moves slowly, and least where "
            "the answer is surely wrong.", {"training score": subject.whole.train_score}, prior=0.45,
            cures=(chained(bare, another_loss(subject, nn.CrossEntropyLoss())),),
            explains=frozenset(["lr-too-low", "too-few-epochs", "loss-not-decreasing", "vanishing-gradient"]),
        )  # fmt: skip
