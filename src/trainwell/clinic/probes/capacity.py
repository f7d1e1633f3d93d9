"""Capacity: a net too small for what it has to learn, by its narrowest hidden layer and a training score that rests."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from trainwell.clinic.cures.width import Hidden, hidden_layers, widened
from trainwell.clinic.curve import curve_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.rehearsal import GOOD
from trainwell.clinic.resizing import WEIGHTED
from trainwell.clinic.subject import Subject

PHASE, COST = "training", 0.0
NARROW, VERY_NARROW, TWO = 8, 4, 2  # units of a hidden layer
DYING = frozenset(["vanishing-gradient", "dead-relu"])  # where one unit or two carry everything, and die
RESTING = 0.15  # share of the descent in the last third


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a net without hidden layers, or with very narrow ones, whose training score stays low."""
    whole = subject.whole
    if not whole.finite or whole.train_score >= GOOD:
        return
    if any(isinstance(module, nn.MultiheadAttention) for module in subject.program.model.modules()):
        return  # its width is that of several heads
    try:
        layers = hidden_layers(subject)
    except Exception:  # a model that cannot be run on two samples
        return
    hidden = [layer for layer in layers if not _small_table(subject, layer, layers)]
    narrowest = min(hidden, key=lambda layer: layer.width, default=None)
    if narrowest is not None and (narrowest.width > _narrow(subject) or not _trained(subject, narrowest)):
        return
    curve = curve_of(whole)
    if narrowest is not None and narrowest.width > TWO and _rebuilds(subject):
        return  # the code of an autoencoder is meant to be narrow
    if narrowest is not None and narrowest.width > VERY_NARROW and curve.falling > RESTING:
        return  # a wider net learns faster, and that is all it would show
    cure = widened(subject, layers)
    width = narrowest.width if narrowest else 0
    what = f"its narrowest hidden layer has {narrowest.width} units" if narrowest else "it has no hidden layer"
    yield Suspicion(
        "underfitting-capacity", narrowest.path if narrowest else "model",
        f"The net is small: {what}, and its training score rests at {whole.train_score:.2f}.",
        {"narrowest hidden layer": width, "training score": whole.train_score, "falling": curve.falling},
        prior=0.9 if 0 < width <= TWO else 0.6 if width <= VERY_NARROW else 0.2, cures=() if cure is None else (cure,),
        explains=DYING if 0 < width <= TWO else frozenset(),
    )  # fmt: skip


def _small_table(subject: Subject, layer: Hidden, layers: Sequence[Hidden]) -> bool:
    """Whether it is a table of few rows, which few entries tell apart, or of one number a row beside wider ones."""
    tables = {other.path: table for other in layers if isinstance(table := subject.module(other.path), nn.Embedding)}
    if layer.path not in tables:
        return False
    widest = max(table.embedding_dim for table in tables.values())
    return tables[layer.path].num_embeddings <= 2 * layer.width or layer.width == 1 < widest


def _narrow(subject: Subject) -> int:
    """Units from which a layer is not narrow; more channels or entries learn faster, but fewer will do."""
    kinds = {type(module) for module in subject.program.model.modules() if isinstance(module, WEIGHTED)}
    return NARROW if kinds == {nn.Linear} else VERY_NARROW


def _trained(subject: Subject, layer: Hidden) -> bool:
    """Whether a gradient reaches it: one that gets none is as good as a random one, which width makes better."""
    return any(name.startswith(f"{layer.path}.") for name in subject.first_step.gradients)


def _rebuilds(subject: Subject) -> bool:
    """Whether the inputs are the targets."""
    x, y = subject.train.x, subject.train.y
    return isinstance(x, Tensor) and x.shape == y.shape and bool(torch.equal(x, y))
