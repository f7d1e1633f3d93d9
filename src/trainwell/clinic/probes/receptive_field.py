"""Convolutions that see one place alone: with kernels of 1 and no pooling between, neighbours are never compared."""

import math
from collections.abc import Iterator

from torch.nn.modules.conv import _ConvNd

from trainwell.clinic.cures.kernels import widen_kernels
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.rehearsal import GOOD
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0  # reads the chain and the rehearsal
PLACES = 9  # of the input from which neighbours matter


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a net whose convolutions all have kernels of one place, on pictures or series that it does not learn."""
    layers = subject.chain.layers
    convolutions = {
        layer.path: module
        for layer in layers
        if layer.kind == "conv" and isinstance(module := subject.module(layer.path), _ConvNd)
    }
    first = next((layer for layer in layers if layer.kind == "conv"), None)
    if first is None or not convolutions or any(max(conv.kernel_size) > 1 for conv in convolutions.values()):
        return
    mixing = any(layer.kind in ("linear", "other") and layer.parameters for layer in layers[:-1])
    if mixing or math.prod(first.input_shape[1:]) < PLACES or not _averaged(subject, convolutions):
        return
    whole = subject.whole
    if not whole.finite or whole.train_score >= GOOD:
        return
    yield Suspicion(
        "underfitting-capacity", first.path,
        "Every convolution has a kernel of one place: the net sees which values there are, but not how they lie beside "
        "each other.", {"convolutions": len(convolutions), "training score": whole.train_score}, prior=0.8,
        cures=(widen_kernels(subject, list(convolutions)),),
    )  # fmt: skip


def _averaged(subject: Subject, convolutions: dict[str, _ConvNd]) -> bool:
    """Whether no layer behind the convolutions reads several places with weights of their own."""
    last = list(convolutions.values())[-1]
    behind = [layer for layer in subject.chain.layers if layer.kind == "linear"]
    return not behind or behind[0].fan_in == last.out_channels
