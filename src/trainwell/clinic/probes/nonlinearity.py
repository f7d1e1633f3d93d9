"""Linear layers that follow each other with nothing between, seen in the traced chain.

Two linear maps in a row are one: W₂(W₁x) = (W₂W₁)x, whatever was meant. Meant it is where the layer between is
narrower than both its sides (a factorized matrix, an autoencoder's code) or convolves channel by channel.
"""

from collections import Counter
from collections.abc import Iterator

import torch

from trainwell.clinic.cures.activations import bend_steps, insert_activations
from trainwell.clinic.duplicate import duplicate
from trainwell.clinic.finding import NOTABLE, Suspicion
from trainwell.clinic.readout import Readout, read_out
from trainwell.clinic.subject import Subject
from trainwell.theory.chain import Chain, Layer

PHASE, COST = "structure", 0.0  # reads the chain

ALL_LINEAR, SOME_LINEAR = 0.9, 0.35
FEW, EXACT = 8, 1e-7  # samples, and the error of float64
_PASSES_ON = ("dropout", "flatten", "scale")


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect pairs of linear layers without a nonlinearity between."""
    try:
        chain = subject.chain
    except Exception:  # a model that does not take its data is another probe's matter
        return
    if chain.incomplete.startswith("The forward pass failed"):
        return
    every = pairs(chain)
    linear = _only_linear(chain) or (bool(every) and not chain.of_kind("activation") and _is_affine(subject))
    found = [pair for pair in every if linear or not intended(*(chain.layers[i] for i in pair[:2]))]
    calls = [layer.path for layer in chain.layers]
    plain = [pair for pair in found if not _code(*(chain.layers[i] for i in pair[:2]))] or found
    behind = [calls[last] for _, _, last in plain if not calls[last].endswith("()") and calls.count(calls[last]) == 1]
    if not behind:
        repeated = list(_recurrence(subject, chain))
        yield from repeated
        if repeated or not found:
            return
    first, second, _ = found[0]
    names = f"{calls[first]} and {calls[second]}"
    more = f" (and {len(found) - 1} more pairs)" if len(found) > 1 else ""
    whole = "The whole net is linear: " if linear else ""
    said = f"{whole}Between {names}{more} is no nonlinearity: together they are one linear layer."
    evidence: dict[str, float | str | bool] = {
        "pairs": len(found), "layers with weights": len(chain.of_kind("linear", "conv")), "whole net linear": linear,
    }  # fmt: skip
    limit = _limit(subject) if linear else None
    if limit is not None and limit.nonlinear - limit.linear > NOTABLE:
        said += (
            f" No linear map of these inputs scores above {limit.linear:.2f}, a nonlinear one {limit.nonlinear:.2f}."
        )
        evidence |= {"best linear map": limit.linear, "nonlinear features": limit.nonlinear}
    else:
        limit = None
    yield Suspicion(
        "missing-nonlinearity", calls[second], said, evidence, prior=ALL_LINEAR if linear else SOME_LINEAR,
        gain=None if limit is None else limit.nonlinear - limit.linear,
        cures=(insert_activations(subject, list(dict.fromkeys(behind))),) if behind else (),
    )  # fmt: skip


def _only_linear(chain: Chain) -> bool:
    """Whether all layers up to the last with weights are linear by their kinds."""
    known = ("linear", "conv", "input", "output", *_PASSES_ON)
    return all(layer.kind in known or _affine(layer) for layer in _body(chain))


def _recurrence(subject: Subject, chain: Chain) -> Iterator[Suspicion]:
    """A net that is one linear map though no two layers touch: a step written by hand that forgot its tanh."""
    linear = [layer for layer in chain.layers if layer.kind == "linear" and not layer.path.endswith("()")]
    calls = Counter(layer.path for layer in linear)
    of_state = Counter(layer.path for layer in linear if layer.reads and min(layer.reads) >= 0)
    repeated = [path for path, times in of_state.items() if times > 1]
    if not repeated or not _is_affine(subject):
        return
    yield Suspicion(
        "missing-nonlinearity", repeated[0],
        f"{repeated[0]} is called {calls[repeated[0]]} times, yet the whole net is one linear map of its inputs: "
        "no step has a nonlinearity.", {"calls": calls[repeated[0]], "whole net linear": True}, prior=ALL_LINEAR,
        cures=(bend_steps(subject, repeated),),
    )  # fmt: skip


def _is_affine(subject: Subject) -> bool:
    """Whether f(a) + f(b) = f(a + b) + f(0) on samples, in evaluation mode."""
    try:
        x = subject.train.x[: 2 * FEW]
        a, b = x[:FEW].double(), x[FEW : 2 * FEW].double()
        model = duplicate(subject.program.model).double().eval()
        with torch.no_grad():
            alone, both = model(a) + model(b), model(a + b) + model(torch.zeros_like(a))
        subject.meter.spend(4 * FEW / max(1, subject.program.batch_size) / 3)
        return bool((alone - both).abs().max() <= EXACT * alone.abs().max())
    except Exception:  # inputs that cannot be added, or a model of several outputs
        return False


def _limit(subject: Subject) -> Readout | None:
    """How well a linear map of the inputs can do; None where that cannot be told, or the inputs are the targets."""
    try:
        train, val = subject.train, subject.val
        if val is None or val.x is val.y or val.x.shape == val.y.shape:
            return None
        return read_out((train.x, train.y), (val.x, val.y), subject.task, seed=subject.seed)
    except Exception:  # inputs or targets that are no such tensors
        return None


def pairs(chain: Chain) -> list[tuple[int, int, int]]:
    """(first, second, last step before the second) of the layers with weights that have nothing between them.

    A layer whose output others read too (a residual stream, a token that is projected thrice) does not count.
    """
    found, readers = list[tuple[int, int, int]](), Counter[int]()
    for place, layer in enumerate(chain.layers):
        readers.update(set(layer.reads or (place - 1,)))
    for place, layer in enumerate(chain.layers):
        if layer.kind not in ("linear", "conv"):
            continue
        step, last = place, -1
        while True:
            reads = chain.layers[step].reads or (step - 1,)
            step = reads[0]
            if len(reads) != 1 or step < 0 or readers[step] > 1:
                break
            before = chain.layers[step]
            if last < 0 and (before.kind in ("linear", "conv") or _affine(before)):
                last = step
            if before.kind in ("linear", "conv"):
                found.append((step, place, last))
                break
            if before.kind not in _PASSES_ON and not _affine(before):
                break
    return found


def intended(first: Layer, second: Layer) -> bool:
    """Whether two layers in a row look like one map in factors."""
    if "groups=" in first.detail or "groups=" in second.detail:
        return True
    if first.kind == "conv" or second.kind == "conv":
        narrow = not first.output_shape or not second.output_shape or first.output_shape[0] < second.output_shape[0]
        return narrow or "kernel_size=(1," in first.detail or "kernel_size=(1," in second.detail
    return _code(first, second)


def _code(first: Layer, second: Layer) -> bool:
    """Whether what is between two dense layers is narrower than both sides: a ReLU there would lose half of it."""
    return first.kind == second.kind == "linear" and second.fan_in < min(first.fan_in, second.fan_out)


def _affine(layer: Layer) -> bool:
    """Whether it is one linear map for all samples once trained."""
    return (layer.kind == "norm" and layer.name.startswith(("BatchNorm", "batch_norm"))) or (
        layer.kind == "pool" and "avg" in layer.name.lower()
    )


def _body(chain: Chain) -> tuple[Layer, ...]:
    """The chain without what follows the last layer with weights: the head's own activation."""
    last = max((i for i, layer in enumerate(chain.layers) if layer.kind in ("linear", "conv")), default=-1)
    return chain.layers[: last + 1]
