"""A softmax between layers with weights: its units share a sum of 1, and gradients shrink with their number."""

from collections.abc import Iterator

from torch import nn

from trainwell.clinic.cures.activations import exchange_activations
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "structure", 0.0  # reads the chain
MANY = 8  # units that share the sum


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a softmax over the units of a hidden dense layer, which another dense layer reads."""
    layers = subject.chain.layers
    found = [
        layer
        for place, layer in enumerate(layers[1:-1], 1)
        if layer.name == "Softmax" and layer.kind == "activation" and len(layer.output_shape) == 1
        and layer.output_shape[0] >= MANY and layers[place - 1].kind == layers[place + 1].kind == "linear"
    ]  # fmt: skip
    if not found or any(isinstance(m, nn.MultiheadAttention) for m in subject.program.model.modules()):
        return
    yield Suspicion(
        "vanishing-gradient", found[0].path,
        f"{found[0].path} is a softmax over {found[0].output_shape[0]} hidden units: they share a sum of 1, and hardly "
        "any gradient comes through.", {"units": found[0].output_shape[0], "layers": len(found)}, prior=0.85,
        cures=(exchange_activations(subject, ["Softmax"]),),
    )  # fmt: skip
