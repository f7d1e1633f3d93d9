"""Training and validation inputs on different scales: a scaler, or a division by 255, for one part alone.

Of each feature (a column of a table, a channel of a picture), over both parts: means μ, μ' and deviations σ, σ'. If the
parts are drawn alike, then |μ' − μ| is of the order σ_m √(1/n + 1/n'), with σ_m the deviation of the samples' own means
(σ itself in a table), and |log σ'²/σ²| of the order c √(1/n + 1/n'), with c the relative deviation of the samples' own
variances. Neighbours that are alike, as in a series cut by time or in sorted rows, count for less: n (1 − ρ) / (1 + ρ)
with ρ their correlation. A feature differs where it does so by many of these standard errors, by much in size, and in
its median or its quantiles too, which a few far values leave alone.
"""

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from trainwell.clinic.cure import Cure, together
from trainwell.clinic.cures.part_scales import Affine, fits, rescale_validation
from trainwell.clinic.features import axis_of, is_tokens
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.probes import input_values
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
CODE, PRIOR = "input-not-normalized", 0.9
ERRORS = 5.0  # standard errors
SHIFT, OWN_SHIFT, LEAST_SHIFT = 2.0, 5.0, 1.0  # deviations of all numbers; of the samples' means, with these of all
FEW = 2.0  # errors of errors: of 2 samples that count, twice as many standard errors are asked
RATIO = 4.0  # of deviations
AGREED = 0.5  # share of a difference, in logarithms for a ratio, that medians and quantiles must show too
MANY = 0.5  # share of the features that must differ
FEWEST = (10, 4)  # samples of the parts
MOST = 1_000_000  # numbers that are looked at
RANGES = ((0.25, 0.75), (0.1, 0.9), (0.025, 0.975))


@dataclass(frozen=True)
class Part:
    """Moments of one part, each of shape (F,).

    Attributes:
        mean, std: of all numbers.
        own: deviation of the samples' means.
        unevenness: relative deviation of the samples' variances.
        count: samples that count as independent.
        median: of all numbers.
        ranges: widths between quantiles, (R, F).
        two_valued: no more than two values.
    """

    mean: Tensor
    std: Tensor
    own: Tensor
    unevenness: Tensor
    count: Tensor
    median: Tensor
    ranges: Tensor
    two_valued: Tensor


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect parts whose inputs were not scaled alike."""
    with suppress(Exception):  # inputs of a kind that cannot be looked at
        if subject.val is None:
            return
        x, other = subject.train.x, subject.val.x
        alike = isinstance(x, Tensor) and isinstance(other, Tensor) and x.shape[1:] == other.shape[1:]
        if not alike or x.dim() < 2 or is_tokens(subject, x) or len(x) < FEWEST[0] or len(other) < FEWEST[1]:
            return
        if _is_target(subject):
            return
        axis = axis_of(subject, x)
        train, val = part_of(x, axis), part_of(other, axis)
        shift, ratio = differences(train, val)
        voters = train.std > 1e-6 * train.mean.abs().clamp(min=1e-12)
        if bool((voters & ~train.two_valued).any()):
            voters &= ~train.two_valued  # flags stay as they are where numbers are scaled
        differing = ((shift > 0) | (ratio != 0)) & voters
        if int(differing.sum()) <= MANY * int(voters.sum()):
            return
        yield _suspicion(subject, axis, train, val, differing, (shift, ratio))


def differences(train: Part, val: Part) -> tuple[Tensor, Tensor]:
    """|μ' − μ| in training deviations and log σ'/σ by feature, 0 where they may be chance or are not large."""
    fewest = torch.minimum(train.count, val.count)
    apart = (1 / train.count + 1 / val.count).sqrt() * (1 + FEW / fewest)
    std, own = train.std.clamp(min=1e-30), train.own.clamp(min=1e-30)
    moved = val.mean - train.mean
    shift = moved.abs() / std
    large = (shift > SHIFT) | ((shift > LEAST_SHIFT) & (moved.abs() > OWN_SHIFT * own))
    agreed = (val.median - train.median) * moved.sign() > AGREED * moved.abs()
    shift = torch.where(large & agreed & (moved.abs() > ERRORS * apart * own), shift, 0.0)
    ratio = (val.std.clamp(min=1e-30) / std).log()
    error = torch.maximum(train.unevenness, val.unevenness) * apart
    seen = (train.ranges > 0) & (val.ranges > 0)
    widths = torch.where(seen, (val.ranges / train.ranges.clamp(min=1e-300)).clamp(min=1e-300).log(), torch.nan)
    first = seen.double().argmax(0, keepdim=True)  # the narrowest range that both parts have
    width = widths.gather(0, first)[0]
    sure = (ratio.abs() > math.log(RATIO)) & (2 * ratio.abs() > ERRORS * error) & (val.std > 0)
    return shift, torch.where(sure & (width * ratio.sign() > AGREED * math.log(RATIO)), ratio, 0.0)


def part_of(x: Tensor, axis: int) -> Part:
    """Moments along the axis of (N, …)."""
    x = x[:: 1 + x.numel() // MOST].double()
    rows = x.movedim(axis, -1).reshape(len(x), -1, x.shape[axis])  # (N, P, F)
    means = rows.mean(1)
    mean = means.mean(0)
    squares = (rows - mean).square().mean(1)
    variance = squares.mean(0)
    flat = rows.reshape(-1, rows.shape[2])
    levels = sorted({0.5, *(q for pair in RANGES for q in pair)})
    quantiles = dict(zip(levels, flat.quantile(torch.tensor(levels).to(flat), dim=0), strict=True))
    low, high = flat.amin(0), flat.amax(0)
    return Part(
        mean, variance.sqrt(), means.std(0, correction=0),
        squares.std(0, correction=0) / variance.clamp(min=1e-300), _independent(means), quantiles[0.5],
        torch.stack([quantiles[b] - quantiles[a] for a, b in RANGES]), ((flat == low) | (flat == high)).all(0),
    )  # fmt: skip


def _independent(means: Tensor) -> Tensor:
    """n (1 − ρ) / (1 + ρ) with ρ the correlation of neighbours, at least 1 and at most n."""
    n = len(means)
    z = means - means.mean(0)
    rho = (z[1:] * z[:-1]).sum(0) / z.square().sum(0).clamp(min=1e-300)
    return (n * (1 - rho) / (1 + rho).clamp(min=1e-6)).clamp(1.0, float(n))


def _is_target(subject: Subject) -> bool:
    """Do the answers repeat the inputs? Then these cannot be changed alone."""
    x, y = subject.train.x, subject.train.y
    same = x.numel() == y.numel() and bool((x.reshape(-1) == y.reshape(-1).to(x.device)).double().mean() > 0.5)
    return subject.task == "reconstruction" or same


def _suspicion(
    subject: Subject, axis: int, train: Part, val: Part, differing: Tensor, seen: tuple[Tensor, Tensor]
) -> Suspicion:
    x = subject.train.x
    size = torch.where(differing, (1 + seen[0]).log() + seen[1].abs(), -1.0)
    worst, count, total = int(size.argmax()), int(differing.sum()), len(differing)
    ours = f"mean {float(train.mean[worst]):.3g} and deviation {float(train.std[worst]):.3g}"
    theirs = f"mean {float(val.mean[worst]):.3g} and deviation {float(val.std[worst]):.3g}"
    word = "channel" if axis == 1 and x.dim() > 2 else "feature"
    which = f" of {word} {worst}" if total > 1 else ""
    many = f", and so with {count} of {total} {word}s" if total > 1 else ""
    known = (train.std > 0) & (val.std > 0)
    scale = torch.where(known, train.std / val.std.clamp(min=1e-300), 1.0)
    mean, target = (torch.where(known, moment, 0.0) for moment in (val.mean, train.mean))
    shape = [total if place == axis else 1 for place in range(1, x.dim())]
    dtype = x.dtype if x.is_floating_point() else torch.float32
    change = Affine(mean.reshape(shape), scale.reshape(shape), target.reshape(shape), dtype)
    cures, prior = _cures(subject, rescale_validation(change, theirs, ours))
    return Suspicion(
        CODE, "val.X",
        f"The training inputs{which} have {ours}, the validation inputs {theirs}{many}: the parts were not scaled "
        "alike.",
        {"training mean": float(train.mean[worst]), "training deviation": float(train.std[worst]),
         "validation mean": float(val.mean[worst]), "validation deviation": float(val.std[worst]),
         "share of features": count / max(1, total)},
        prior=prior, cures=cures,
    )  # fmt: skip


def _cures(subject: Subject, alike: Cure) -> tuple[tuple[Cure, ...], float]:
    """What brings the parts to one scale, before it with what normalizes that scale where it is far from normal; and
    how likely that helps: tried before what normalizes the training part alone, which leaves the parts apart.
    """
    if not fits(subject.program.val):
        return (), PRIOR
    scales = [s for s in input_values.probe(subject) if s.code == CODE and s.cures]
    if not scales:
        return (alike,), PRIOR
    return (together([alike, scales[0].cures[0]]), alike), max(PRIOR, scales[0].prior + 0.01)
