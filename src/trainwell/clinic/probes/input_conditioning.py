"""Directions of the standardized inputs that hardly vary but tell the targets: descent learns them last.

Gradient descent on a squared error learns the direction of eigenvalue λᵢ of the inputs' covariance at the rate η λᵢ,
and η < 2/λ₁: of what lies at λᵢ < λ₁/κ it learns next to nothing in fewer than κ steps. What counts is therefore not
κ, which is in the thousands for any picture, but the share of what is linearly known of the targets that lies there.
"""

from collections.abc import Iterator
from contextlib import suppress

import torch
from torch import Tensor

from trainwell.clinic.answers import answers_of
from trainwell.clinic.cures.inputs import whiten
from trainwell.clinic.features import features_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
MOST, EACH = 512, 5  # features; samples a feature
SMALL, KEPT = 3e-3, 1e-10  # eigenvalues over the largest: slow ones; numerically zero ones
KNOWN = 0.1  # share of the targets' variance that must be known linearly from the slow directions


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect features that depend on each other where the targets are in what is left."""
    with suppress(Exception):  # inputs or targets of a kind that cannot be looked at
        features = features_of(subject)
        if features is None or features.x.dim() != 2 or features.sparse:
            return
        x = features.x.double()[:, features.varying]
        n, f = x.shape
        if not 2 <= f <= MOST or n < EACH * f or not bool(torch.isfinite(x).all()):
            return
        z = (x - features.mean[features.varying]) / features.std[features.varying]
        values, vectors = torch.linalg.eigh(z.T @ z / n)
        kept = values > KEPT * values[-1]
        condition = float(values[-1] / values[kept][0])
        t = _targets(subject)
        if t is None:
            return
        slow, whole = known_from(z, t, values, vectors)
        if condition < 1 / SMALL or slow < KNOWN:
            return
        matrix = torch.zeros(f, features.x.shape[1], dtype=torch.float64)
        floor = values.clamp(min=float(values[-1]) * 1e-6)
        matrix[:, features.varying] = (vectors / floor.sqrt()).T / features.std[features.varying]
        yield Suspicion(
            "ill-conditioned-features", "train.X",
            f"{slow:.0%} of the targets' variance lies along directions in which the inputs hardly vary "
            f"(condition number {condition:.2g}): descent learns these last.",
            {"condition number": condition, "known from slow directions": slow, "known from all": whole},
            prior=min(0.9, 0.4 + slow), cures=(whiten(features, matrix),),
        )  # fmt: skip


def known_from(z: Tensor, t: Tensor, values: Tensor, vectors: Tensor) -> tuple[float, float]:
    """Share of the variance of targets (N, T) known linearly from the slow directions of z, and from all."""
    t = t - t.mean(0)
    total = float(t.square().sum())
    kept = values > KEPT * values[-1]
    scores = (z @ vectors)[:, kept]
    explained = (scores.T @ t).square().sum(1) / scores.square().sum(0)
    chance = total / len(z)  # what a direction that tells nothing explains of itself
    real = (explained - chance).clamp(min=0) / max(total, 1e-30)
    return float(real[values[kept] < SMALL * values[-1]].sum()), float(real.sum())


def _targets(subject: Subject) -> Tensor | None:
    answers = answers_of(subject)
    codes = answers.codes() if answers.task in ("classification", "binary") else None
    if codes is not None:
        return torch.nn.functional.one_hot(codes).double()
    y = answers.y
    return y.double().reshape(len(y), -1) if y.is_floating_point() and answers.task != "reconstruction" else None
