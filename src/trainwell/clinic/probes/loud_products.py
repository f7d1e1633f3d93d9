"""Products of vectors that start at N(0, 1): their sum over d places has the size √d, far beyond the targets.

``nn.Embedding`` draws N(0, 1) and so do many who write ``torch.randn`` for a parameter: right for what a layer with
weights of its own reads, wrong for factors that are multiplied with each other and summed.
"""

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import nn

from trainwell.clinic.cures.initialization import shrink
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject
from trainwell.nn.operations import kind_of

PHASE, COST = "structure", 0.0  # reads the first step
LOUD = 3.0  # deviation of the first answers over that of the targets
DRAWN = (0.5, 2.0)  # standard deviation of what was drawn from N(0, 1)
NUMBERS = 8  # of a parameter that was drawn


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect embeddings and parameters of the model's own whose products are far larger than the targets."""
    first, task = subject.first_step, subject.task
    if first.error or task != "regression" or not isinstance(first.output, torch.Tensor) or first.y is None:
        return
    with suppress(Exception):  # targets of another form
        spread, answers = float(subject.train.y.double().std()), float(first.output.detach().double().std())
        names = _drawn(subject.program.model)
        if not names or not answers > LOUD * spread > 0:
            return
        yield Suspicion(
            "bad-init-scale", names[0],
            f"The first answers spread {answers / spread:.3g} times as far as the targets: {names[0]} starts at "
            "the size of N(0, 1), and products of such vectors add up.", {"answers over targets": answers / spread},
            prior=0.7, cures=(shrink(subject, names),),
        )  # fmt: skip


def _drawn(model: nn.Module) -> list[str]:
    """Names of the tables and of the model's own parameters of such a size."""
    found = []
    for path, module in model.named_modules():
        own = isinstance(module, nn.Embedding) or kind_of(module) == "other"
        for name, parameter in module.named_parameters(prefix=path, recurse=False):
            size = float(parameter.detach().double().std()) if parameter.numel() > 1 else 0.0
            if own and parameter.numel() >= NUMBERS and parameter.requires_grad and DRAWN[0] <= size <= DRAWN[1]:
                found.append(name)
    return found
