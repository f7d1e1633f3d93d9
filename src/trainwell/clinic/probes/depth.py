"""Gradients and differences between samples that do not get through the depth of a plain net.

Measured: ‖∂L/∂z‖ of the first layer over that of the last hidden one. A layer of torch's own rule passes √(1/6) of it
through a ReLU and a seventh through a sigmoid, so that six ReLU layers keep 1 % and train, and six sigmoid layers keep
0.005 % and do not. Where depth is beyond what the width carries (Var ln‖g‖² ≥ 5 between equal nets even if well drawn:
theory's ``depth_by_width``), that is the cause.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.cures.activations import exchange_activations, plain_hidden
from trainwell.clinic.cures.initialization import clip_gradient, redraw
from trainwell.clinic.cures.normalization import hidden_layers, normalize_layers
from trainwell.clinic.cures.shortcuts import add_shortcuts, keeping
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.symmetry import alike_layers
from trainwell.clinic.probes.weight_scale import explained
from trainwell.clinic.signals import BOUNDED, compare
from trainwell.clinic.subject import Subject
from trainwell.theory.prediction import predict

PHASE, COST = "signal", 0.0  # reads the signals measured before

FADED = 0.03  # share of the gradient that reaches the first layer, below which it is suspected
WORSE = 5.0  # times the net drawn anew does better, or
FEW, SHALLOW = 8, 4  # layers that any width carries; that are not deep, however narrow
DEEP = 16  # layers through which a shortcut is the surest way
HOPELESS = 1e-3  # share below which that does not matter


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect a gradient that fades, and name width or activation as the cause."""
    found = compare(subject)
    if found is None or alike_layers(subject)[0]:
        return
    reach, contrast = found.own.reach, found.own.contrast
    other = math.nan if found.drawn is None else found.drawn.reach
    if not reach < FADED or not (reach < HOPELESS or reach * WORSE < other):
        yield from _unlearned(subject, len(found.own.of("weights")))
        return
    prior = min(0.9, 0.15 + 0.3 * math.log10(FADED / max(reach, 1e-12)))
    layers = len(found.own.of("weights"))
    evidence = {"gradient that reaches the first layer": reach, "drawn anew": other, "layers": layers}
    if explained(subject):
        yield Suspicion("vanishing-gradient", "the first layers", _faded(reach, layers), evidence, prior=0.05)
        return
    try:
        carried = carries(subject)
    except Exception:  # a chain that theory cannot follow says nothing of width
        carried = math.nan
    if layers > max(carried, SHALLOW):
        yield Suspicion(
            "too-deep-for-width", "the net",
            f"The net has {layers} layers, and at its width a signal passes through about {carried:.0f}.",
            {**evidence, "layers that the width carries": round(carried, 1)},
            prior=max(prior, 0.5), cures=_rebuilding(subject), explains=frozenset(["vanishing-gradient"]),
        )  # fmt: skip
        yield Suspicion("vanishing-gradient", "the first layers", _faded(reach, layers), evidence, prior=0.05)
    else:
        yield Suspicion(
            "vanishing-gradient", "the first layers", _faded(reach, layers), evidence, prior=prior,
            cures=(*_rebuilding(subject)[:1], *_repairs(subject)) if layers > DEEP else _repairs(subject),
        )  # fmt: skip
    if contrast < HOPELESS:
        message = f"Only {contrast:.1e} of the last hidden layer's size differs between samples."
        yield Suspicion("vanishing-activations", "the last hidden layer", message, {"contrast": contrast}, prior=0.05)


def _unlearned(subject: Subject, layers: int) -> Iterator[Suspicion]:
    """A gradient may get through and say nothing: deep narrow nets whose rehearsal learns little."""
    whole = vars(subject).get("whole")  # where the reasoning has asked for it: it is not worth its passes here
    if layers <= FEW or whole is None or whole.good:
        return
    with suppress(Exception):  # a chain that theory cannot follow says nothing of width
        carried = carries(subject)
        if layers > carried:
            yield Suspicion(
                "too-deep-for-width", "the net",
                f"The net has {layers} layers, and at its width a signal passes through about {carried:.0f}.",
                {"layers": layers, "layers that the width carries": round(carried, 1)},
                prior=0.5, cures=_rebuilding(subject), explains=frozenset(["vanishing-gradient", "dead-relu"]),
            )  # fmt: skip


def carries(subject: Subject) -> float:
    """Layers after which Var ln‖∂L/∂z‖² between equal nets is 5, were it well drawn; nan where theory does not know."""
    return predict(subject.chain, "kaiming").depth_by_width


def _faded(reach: float, layers: int) -> str:
    return f"Of the gradient only {reach:.1e} gets from the last hidden layer to the first of {layers}."


def _repairs(subject: Subject) -> tuple[Cure, ...]:
    """What keeps the gradient: an activation that is not flat and weights of the right scale; gentler, if too much."""
    chain = subject.chain
    flat = sorted({chain.layers[i].name for i in plain_hidden(chain)} & set(BOUNDED))
    clip = clip_gradient(subject)
    if not flat:
        return redraw(subject), together([redraw(subject), clip])
    gentle = redraw(subject, scheme="xavier") if flat == ["Tanh"] else exchange_activations(subject, flat)
    return exchange_activations(subject, flat), together([gentle, clip])


def _rebuilding(subject: Subject) -> tuple[Cure, ...]:
    paths, hidden = keeping(subject), hidden_layers(subject)
    cures = [add_shortcuts(subject, paths)] if paths else []
    return (*cures, normalize_layers(subject, hidden)) if hidden else tuple(cures)
