"""Weights that start much too small or too large, where the signal shows it: bad-init-scale and its symptoms.

σ = √fan_in · std of a weight is about 0.6 by torch's own rule and √2 by Kaiming's. Beyond a factor of three on either
side it is a suspect; a verdict it becomes by what it does: the same net drawn anew gives other outputs, other
differences between samples, other shares of saturated and dead units. Behind a normalization a scale does nothing,
and so is not suspected.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from trainwell.clinic.branches import branch_ends
from trainwell.clinic.cure import together
from trainwell.clinic.cures.initialization import EMBEDDED, RAW, clip_gradient, drawable, raw_size, raw_weights, redraw
from trainwell.clinic.cures.normalization import hidden_layers, normalize_layers
from trainwell.clinic.cures.shortcuts import start_at_zero
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes.symmetry import alike_layers
from trainwell.clinic.signals import Comparison, Signals, compare
from trainwell.clinic.subject import Subject
from trainwell.nn.weight_spreads import read_spreads

PHASE, COST = "signal", 4.0  # a pass of up to 2 batches over the net, and one over the net drawn anew

SMALLEST, LARGEST = 0.19, 3.5  # σ of torch's rule over 3, of Kaiming's times 2.5
NEAR = (0.45, 1.8)  # σ that many layers one after the other still feel
LOUD, FAINT = 30.0, 30.0  # factors on the outputs' size² and on the contrast from which on the scale is suspected
FADED = 1e4  # factor on the last hidden layer's size²
BURST = 1e12  # the same, of a net whose answers are no numbers
GROWN = 1e4  # factor on size² from the first hidden layer to the last that no scale of the weights explains
SEVERAL = 3  # residual branches that add up
FLAT = 0.5  # share of saturated or dead units, more than in the net drawn anew


@dataclass(frozen=True)
class Effect:
    """What a net's own weights do that weights drawn anew do not.

    Attributes:
        louder: E output² over that of the net drawn anew.
        fainter: contrast of the net drawn anew over its own.
        saturated, dead: largest share of a hidden layer, more than in the net drawn anew.
        steeper: norm of the whole gradient over that of the net drawn anew.
        fading: E h² of the last hidden layer of the net drawn anew, over its own.
    """

    louder: float
    fainter: float
    saturated: float
    dead: float
    steeper: float
    fading: float


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect weights off their scale that change the signal."""
    found = compare(subject)
    if found is None or found.drawn is None:
        return
    did = effect(found.own, found.drawn)
    off = blamed(subject, did)
    prior = _prior(did) if off and not alike_layers(subject)[0] else 0.0
    if prior <= 0:
        yield from _grows(subject, found)
        yield from _hidden(subject)
        return
    gentle = together([redraw(subject, scheme="xavier"), clip_gradient(subject)])
    worst = max(off, key=lambda path: abs(math.log(max(off[path], 1e-30))))
    sigma, word = off[worst], "large" if off[worst] > 1 else "small"
    yield Suspicion(
        "bad-init-scale", f"{worst}.weight",
        f"The weights of {worst} start too {word}: √fan-in · std is {sigma:.2g}, and 0.6 to 1.4 passes a signal on.",
        {
            "sigma": sigma, "layers": len(off), "outputs over those drawn anew": round(math.sqrt(did.louder), 4),
            "contrast lost": did.fainter, "saturated": round(did.saturated, 3), "dead": round(did.dead, 3),
        },
        prior=prior, cures=(redraw(subject, paths=list(off), orthogonal=_recurrent(subject, off)), gentle),
    )  # fmt: skip
    yield from _symptoms(found, did)


def _hidden(subject: Subject) -> Iterator[Suspicion]:
    """Weights far off their scale whose effect a norm or a bounded unit hides, in a net that does not learn well."""
    whole = vars(subject).get("whole")  # where the reasoning has asked for it
    recurrent = {path for path, module in subject.program.model.named_modules() if isinstance(module, nn.RNNBase)}
    off = {path: size for path, size in off_scale(subject).items() if path not in recurrent}  # of few inputs: by rule
    if not off or whole is None or whole.good or alike_layers(subject)[0]:
        return
    worst = max(off, key=lambda path: abs(math.log(max(off[path], 1e-30))))
    word = "large" if off[worst] > 1 else "small"
    yield Suspicion(
        "bad-init-scale", f"{worst}.weight", f"The weights of {worst} start {word}: √fan-in · std is {off[worst]:.2g}.",
        {"sigma": off[worst], "layers": len(off)}, prior=0.4,
        cures=(redraw(subject, paths=list(off)), redraw(subject)),
    )  # fmt: skip


def _grows(subject: Subject, found: Comparison) -> Iterator[Suspicion]:
    """A signal that grows from layer to layer though no weight is off its scale: branches add up, or width does it."""
    if not math.isfinite(found.own.output):
        yield from _overflows(found)
        return
    hidden = found.own.hidden
    growth = _over(hidden[-1].moment, hidden[0].moment) if len(hidden) > 1 else 1.0
    layers = hidden_layers(subject)
    if growth < GROWN or not math.isfinite(growth) or not layers:  # infinite: all units of the first are dead
        return
    gentle = together([redraw(subject, scheme="xavier"), clip_gradient(subject)])
    ends = branch_ends(subject.chain)
    adding = (start_at_zero(subject, ends),) if len(ends) >= SEVERAL else ()
    yield Suspicion(
        "exploding-activations", hidden[-1].path,
        f"The signal grows {math.sqrt(growth):.3g} times from the first hidden layer to the last, before the first "
        "step.", {"growth of the size": math.sqrt(growth), "layers": len(hidden)}, prior=0.6,
        cures=(*adding, normalize_layers(subject, layers), gentle),
    )  # fmt: skip


def _overflows(found: Comparison) -> Iterator[Suspicion]:
    """Answers that are no numbers before the first step, though no weight is off its scale."""
    seen = [layer for layer in found.own.layers if math.isfinite(layer.moment)]
    if len(seen) < 2 or _over(seen[-1].moment, seen[0].moment) < BURST:
        return
    growth = math.sqrt(_over(seen[-1].moment, seen[0].moment))
    yield Suspicion(
        "exploding-activations", seen[-1].path,
        f"The signal grows {growth:.3g} times from {seen[0].path} to {seen[-1].path}, and the answers are no numbers "
        "before the first step.", {"growth of the size": growth, "layers": len(seen)},
        prior=0.9, certain=True, loss=1.0,
    )  # fmt: skip


def blamed(subject: Subject, did: Effect) -> dict[str, float]:
    """The layers off their scale; where the signal is far off, also those that are so by less."""
    far = off_scale(subject)
    if far or _prior(did) < 0.5:
        return far
    near = off_scale(subject, NEAR)
    layers = sum(1 for _ in drawable(subject.program.model))
    return near if 2 * len(near) > layers else {}  # a few narrow layers are so by chance


def off_scale(subject: Subject, usual: tuple[float, float] = (SMALLEST, LARGEST)) -> dict[str, float]:
    """Path → σ of the layers whose weights are off any rule's scale; zero weights are another matter."""
    model = subject.program.model
    spreads = read_spreads(model)
    off = {
        name: size
        for name, weight in raw_weights(model).items()
        if (size := raw_size(weight)) > 0 and not RAW[0] <= size <= RAW[1]
    }
    for path, module in drawable(model):
        if isinstance(module, nn.Embedding):
            size = spreads[path].sigma_w
            if size > 0 and not EMBEDDED[0] <= size <= EMBEDDED[1]:
                off[path] = size
            continue
        own = {name: s.sigma_w for name, s in spreads.items() if name == path or _part(name, path)}
        sizes = [s for name, s in own.items() if s > 0 and not (isinstance(module, nn.RNNBase) and _few(name, path, s))]
        wrong = [s for s in sizes if not usual[0] <= s <= usual[1]]
        if wrong:
            off[path] = max(wrong, key=lambda s: abs(math.log(s)))
    return off


def effect(own: Signals, drawn: Signals) -> Effect:
    """Compare a net's signals with those of the net drawn anew."""
    return Effect(
        louder=_over(own.output, drawn.output),
        fainter=_over(drawn.contrast, own.contrast),
        saturated=_most(own, "saturated") - _most(drawn, "saturated"),
        dead=_most(own, "dead") - _most(drawn, "dead"),
        steeper=_over(own.norm, drawn.norm),
        fading=_over(_last(drawn), _last(own)),
    )


def explained(subject: Subject) -> bool:
    """Whether the scale of the weights is suspected strongly enough to be the cause of what else the signal shows."""
    found = compare(subject)
    if found is None or found.drawn is None:
        return False
    did = effect(found.own, found.drawn)
    return bool(blamed(subject, did)) and _prior(did) >= 0.3


def _prior(did: Effect) -> float:
    if not math.isfinite(did.louder) or not math.isfinite(did.steeper):
        return 0.95
    loud = 0.0 if did.louder < LOUD else min(0.9, 0.15 + 0.25 * math.log10(did.louder / LOUD))
    faint = 0.0 if did.fainter < FAINT else min(0.9, 0.25 + 0.2 * math.log10(did.fainter / FAINT))
    fading = 0.0 if did.fading < FADED else min(0.9, 0.4 + 0.1 * math.log10(did.fading / FADED))
    flat = max(did.saturated, did.dead)
    return max(loud, faint, fading, 0.0 if flat < FLAT else min(0.9, flat))


def _symptoms(found: Comparison, did: Effect) -> Iterator[Suspicion]:
    told = {
        "exploding-activations": (
            did.louder > LOUD,
            f"Outputs are {math.sqrt(did.louder):.3g} times what they should be.",
        ),
        "vanishing-activations": (
            did.fainter > FAINT or did.fading > FADED,
            f"Differences between samples shrink {max(did.fainter, math.sqrt(did.fading)):.3g} times too far.",
        ),
        "saturated-activations": (
            did.saturated > FLAT,
            f"{_most(found.own, 'saturated'):.0%} of a layer is saturated.",
        ),
        "exploding-gradient": (
            did.steeper > LOUD,
            f"The gradient is {did.steeper:.3g} times as large as it should be.",
        ),
    }
    for code, (seen, message) in told.items():
        if seen:
            yield Suspicion(code, "the net", message, {}, prior=0.05)


def _most(signals: Signals, what: str) -> float:
    layers = [*signals.hidden, *(layer for layer in signals.of("weights") if layer.saturated)]
    return max((getattr(layer, what) for layer in layers), default=0.0)


def _last(signals: Signals) -> float:
    return signals.hidden[-1].moment if signals.hidden else math.nan


def _over(a: float, b: float) -> float:
    """a/b; 1 where either is not known, infinite where only a is not finite or b is 0."""
    if math.isnan(b) or (math.isnan(a) and math.isnan(b)):
        return 1.0
    if math.isnan(a) or math.isinf(a):
        return math.inf
    return a / b if b > 0 else (1.0 if a == 0 else math.inf)


def _recurrent(subject: Subject, paths: Iterable[str]) -> bool:
    return any(isinstance(subject.module(path), nn.RNNBase) for path in paths)


def _few(name: str, path: str, sigma: float) -> bool:
    """Whether they are a recurrent layer's input weights, drawn by its units alone: small where inputs are few."""
    return name.removeprefix(f"{path}.").startswith("input") and sigma < 1


def _part(name: str, path: str) -> bool:
    return name.startswith(f"{path}.") and name.removeprefix(f"{path}.").split(".")[0].rstrip("0123456789") in (
        "input", "state", "in_proj", "out_proj",
    )  # fmt: skip
