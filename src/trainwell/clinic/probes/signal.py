"""Units that are dead or saturated before the first step, and gradients that burst in the first steps."""

import math
from collections import Counter
from collections.abc import Iterator

from torch import Tensor, nn

from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.activations import exchange_activations
from trainwell.clinic.cures.initialization import redraw, zero_biases
from trainwell.clinic.cures.settings import set_field
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.symmetry import alike_layers
from trainwell.clinic.probes.weight_scale import explained
from trainwell.clinic.signals import BOUNDED, Comparison, LayerSignal, compare
from trainwell.clinic.subject import Subject

PHASE, COST = "signal", 0.0  # reads the signals measured before

DEAD, SATURATED = 0.5, 0.5  # shares of a hidden layer from which on it is suspected
ALMOST_ALL = 0.75  # of a layer's units: without negative biases, fewer are dead in healthy deep nets too
MORE = 0.25  # by which the net drawn anew must do better for the weights to be the cause
LOW = -0.3  # mean of the biases from which on they hold units down
NORMED_LOW = -1.5  # mean of a norm's shifts, in deviations of what it gives
SIZED = 16  # samples from which on dead means dead
HUGE = 1e4  # norm of a gradient that no rate bears
STEPS = 3  # calls of one layer that make it one of a recurrence
BURST = 100.0  # gradient norm over the opening's median


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect dead and saturated units, and bursts of the gradient."""
    found = compare(subject)
    if found is not None and not alike_layers(subject)[0]:
        yield from _dead(subject, found)
        yield from _saturated(subject, found)
    yield from _bursts(subject)


def _dead(subject: Subject, found: Comparison) -> Iterator[Suspicion]:
    worst = max(found.own.hidden, key=lambda layer: layer.dead, default=None)
    if worst is None or worst.dead < DEAD or found.own.samples < SIZED:
        return
    drawn = max((layer.dead for layer in found.drawn.hidden), default=0.0) if found.drawn else 0.0
    negative = _negative_biases(subject)
    evidence = {"dead": round(worst.dead, 3), "dead if drawn anew": round(drawn, 3), "samples": found.own.samples}
    if negative:
        evidence["mean of the biases"] = round(min(negative.values()), 3)
    message = f"{worst.dead:.0%} of the units behind {worst.path} are zero for every sample before the first step."
    drawn_better = worst.dead > ALMOST_ALL and drawn < worst.dead - MORE
    if not negative and (explained(subject) or not drawn_better):
        yield Suspicion("dead-relu", worst.path, message, evidence, prior=0.05)
        return
    first = zero_biases(subject, list(negative)) if negative else redraw(subject)
    cures: tuple[Cure, ...] = (first, exchange_activations(subject, ["ReLU"], "leaky_relu", redraw=False))
    prior = min(0.95, 0.3 + 0.65 * (worst.dead - DEAD) / (1 - DEAD)) if negative else 0.1 + 0.5 * (worst.dead - drawn)
    yield Suspicion("dead-relu", worst.path, message, evidence, prior=prior, cures=cures)


def _negative_biases(subject: Subject) -> dict[str, float]:
    """Layers whose biases hold all units down, as no rule draws them: path → their mean."""
    model, found = subject.program.model, {}
    for layer in subject.chain.of_kind("linear", "conv", "norm"):
        bias = None if layer.path.endswith("()") else getattr(model.get_submodule(layer.path), "bias", None)
        if isinstance(bias, Tensor) and bias.numel() > 1:
            mean, spread = float(bias.detach().mean()), float(bias.detach().std())
            if mean < LOW and mean < -spread and not (layer.kind == "norm" and mean > NORMED_LOW):
                found[layer.path] = mean
    return found


def _saturated(subject: Subject, found: Comparison) -> Iterator[Suspicion]:
    worst = _most_saturated(found.own.hidden)
    if worst is None or worst.saturated < SATURATED:
        return
    drawn = _most_saturated(found.drawn.hidden) if found.drawn else None
    other = 0.0 if drawn is None else drawn.saturated
    evidence = {"saturated": round(worst.saturated, 3), "saturated if drawn anew": round(other, 3)}
    message = f"{worst.saturated:.0%} of the values behind {worst.path} are at the flat ends of {worst.name}."
    if explained(subject):
        return
    if other > worst.saturated - MORE:
        yield Suspicion("saturated-activations", worst.path, message, evidence, prior=0.05)
        return
    cures = (redraw(subject, scheme="xavier"), exchange_activations(subject, list(BOUNDED)))
    prior = 0.3 + 0.6 * (worst.saturated - other)
    yield Suspicion("saturated-activations", worst.path, message, evidence, prior=min(0.9, prior), cures=cures)


def _most_saturated(layers: list[LayerSignal]) -> LayerSignal | None:
    return max(layers, key=lambda layer: layer.saturated, default=None)


def _recurrent(subject: Subject) -> bool:
    """Whether a layer is called step by step, or runs through time by itself."""
    calls = Counter(layer.path for layer in subject.chain.of_kind("linear"))
    modules = subject.program.model.modules()
    return max(calls.values(), default=0) > STEPS or any(isinstance(m, nn.RNNBase | nn.RNNCellBase) for m in modules)


def _bursts(subject: Subject) -> Iterator[Suspicion]:
    opening = vars(subject).get("opening")  # where the reasoning has asked for it: it is not worth its passes here
    if opening is None or subject.program.clip_grad:
        return
    norms = [norm for norm in opening.norms if not math.isnan(norm)]
    known = [norm for norm in norms if math.isfinite(norm)]
    if not opening.finite and known and max(known) > HUGE:
        yield Suspicion(
            "exploding-gradient", "the first steps",
            f"The gradient has a norm of {max(known):.3g} within {len(opening.losses)} steps, and then the loss is no "
            "number.", {"largest": max(known), "steps": len(opening.losses)},
            prior=0.75 if _recurrent(subject) else 0.5,
            cures=(set_field(subject, "clip_grad", 1.0),), explains=frozenset(["nonfinite-loss", "lr-too-high"]),
        )  # fmt: skip
        return
    if len(norms) < 5:
        return
    middle = sorted(norms)[len(norms) // 2]
    largest = max(norms)
    if not largest > BURST * middle or not opening.finite:
        return
    yield Suspicion(
        "exploding-gradient", "the first steps",
        f"The gradient bursts to {largest:.3g} in the first steps, {largest / max(middle, 1e-30):.3g} × its median.",
        {"largest": largest, "median": middle}, prior=0.5 if largest > HUGE else 0.15,
        cures=(set_field(subject, "clip_grad", 1.0),),
    )  # fmt: skip
