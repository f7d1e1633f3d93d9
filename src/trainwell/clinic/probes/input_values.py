"""The inputs' numbers: finite, of a size that a net's initial weights suit, alike in scale, not constant.

Weights are drawn for inputs of second moment about one. The squared error of a linear unit has the Hessian E[x xᵀ], so
a level ℓ multiplies the largest stable rate by ℓ⁻², an offset m = |mean| / std makes the condition number about
1 + F m², and features of different size by the square of their ratio. Counted in decades beyond what digits, one-hot
vectors and unstandardized but harmless tables show (LEVEL, OFFSET, SPREAD), and tried on a copy.
"""

import math
from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor, nn

from trainwell.clinic.cures.inputs import fill_in, mute, rescale, standardize
from trainwell.clinic.features import Features, features_of, measured, nonfinite, prepared
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
LEVEL, OFFSET, SPREAD = (0.1, 3.0), 5.0, 10.0
RARELY = 0.05  # share of the validation samples in which a value that training never saw is an exception
NORMALIZING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.InstanceNorm1d, nn.InstanceNorm2d)


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect inputs that are not finite or not normalized; note constant features."""
    with suppress(Exception):  # data of a kind that cannot be looked at
        yield from _nonfinite(subject)
    with suppress(Exception):
        features = features_of(subject)
        if features is not None:
            yield from _scales(subject, features)
            yield from _constant(subject, features)


def _nonfinite(subject: Subject) -> Iterator[Suspicion]:
    train = nonfinite(prepared(subject, subject.train.x))
    val = 0 if subject.val is None else nonfinite(prepared(subject, subject.val.x))
    if not train + val:
        return
    part, count = ("train.X", train) if train else ("val.X", val)
    features = features_of(subject)
    cures = () if features is None else (fill_in(features),)
    yield Suspicion(
        "input-nonfinite", part,
        f"The inputs hold {count} values that are NaN or infinite: one of them makes the loss of its batch NaN, and "
        "with it every weight.",
        {"values not finite in training": float(train), "in validation": float(val)},
        prior=1.0, certain=True, loss=1.0, cures=cures,
    )  # fmt: skip


def decades(features: Features) -> tuple[float, str]:
    """How far the inputs are from normalized, in decades, and the sentence that says so."""
    level, offset, spread = features.level, features.offset, features.spread
    low, high = LEVEL
    reasons = [
        (math.log10(max(level / high, 1.0)), f"Inputs are of size {level:.3g} where weights are drawn for size 1."),
        (math.log10(max(low / max(level, 1e-30), 1.0)), f"Inputs are of size {level:.2g}; weights expect size 1."),
        (math.log10(max(offset / OFFSET, 1.0)), f"A feature's mean is {offset:.3g} times its standard deviation."),
        (math.log10(max(spread / SPREAD, 1.0)), f"The largest feature is {spread:.3g} times the smallest in size."),
    ]
    return max(reasons)


def _scales(subject: Subject, features: Features) -> Iterator[Suspicion]:
    if features.sparse or not bool(features.varying.any()):
        return
    one_scale = features.x.dim() == 2 and _pixels(features)
    if one_scale:
        features_seen = measured(features.x.reshape(len(features.x), 1, -1), 1)
    else:
        features_seen = features
    far, message = decades(features_seen)
    if far < 0.1:
        return
    tamed = _normalized_first(subject)
    prior = min(0.95, 0.35 + 0.4 * far) * (0.1 if tamed else 1.0)
    level, offset, spread = features_seen.level, features_seen.offset, features_seen.spread
    evidence = {"size": level, "largest |mean|/std": offset, "largest over smallest feature": spread}
    cure = rescale(features) if one_scale else standardize(features)
    yield Suspicion("input-not-normalized", "train.X", message, evidence, prior=prior, cures=(cure,))


def _awake(subject: Subject, features: Features) -> Tensor:
    """Which features are constant in training and have another value in more than a few validation samples."""
    val = None if subject.val is None else prepared(subject, subject.val.x)
    if not isinstance(val, Tensor) or val.shape[1:] != features.x.shape[1:]:
        return torch.zeros_like(features.varying)
    flat = val.double().movedim(features.axis, -1).reshape(-1, len(features.mean))
    others = ((flat - features.mean).abs() > 1e-6 * (1 + features.mean.abs())).double().mean(0)
    return ~features.varying & (others > RARELY)


def _pixels(features: Features) -> bool:
    """Are the columns of one scale, as the pixels of a picture are: whole levels, or one common range?"""
    x = features.x
    low, high = x.amin(0), x.amax(0)
    common = float(((high - high.max()).abs() < 0.1 * (high.max() - low.min())).double().mean())
    return x.shape[1] >= 16 and common > 0.3 and float((low == low.min()).double().mean()) > 0.7


def _normalized_first(subject: Subject) -> bool:
    """Does a norm over the batch or the picture see the inputs before any weight does?"""
    for layer in subject.chain.layers:
        if layer.kind in ("flatten", "dropout", "input"):
            continue
        if layer.kind == "norm":
            with suppress(AttributeError):
                return isinstance(subject.program.model.get_submodule(layer.path), NORMALIZING)
        return False
    return False


def _constant(subject: Subject, features: Features) -> Iterator[Suspicion]:
    constant = int((~features.varying).sum())
    awake = _awake(subject, features)
    if bool(awake.any()):
        place = int(awake.nonzero()[0])
        yield Suspicion(
            "input-constant-feature", f"train.X, {features.where} {place}",
            f"{int(awake.sum())} of {len(awake)} {features.where}s have one value in all training samples, and others "
            "in validation: their weights keep their random start, and add noise to every answer.",
            {"constant in training only": float(awake.sum()), "of": float(len(awake))}, prior=0.7,
            cures=(mute(features, awake),),
        )  # fmt: skip
    elif constant:
        total = len(features.std)
        yield Suspicion(
            "input-constant-feature", f"train.X, {features.where} {int((~features.varying).nonzero()[0])}",
            f"{constant} of {total} {features.where}s have the same value in all samples and tell nothing.",
            {"constant": float(constant), "of": float(total)}, prior=0.0,
        )  # fmt: skip
