"""Copies among the training samples, and validation samples that are training samples too.

Rows that repeat of themselves, such as those of a few flags, are let be (:mod:`rows`). So are copies that only make
up for rare classes: oversampling is meant.
"""

from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import torch

from trainwell.clinic.answers import answers_of
from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.rows import keep
from trainwell.clinic.features import is_tokens
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.rows import hashes, inputs, told_apart
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
LEAKED, COPIED = 0.05, 0.2  # shares from which on it matters
ALIKE = 1.25  # times as often, and no more
ENOUGH = 8  # rows that must be left


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect samples that are there more than once."""
    with suppress(Exception):  # data of a kind that cannot be hashed
        train = inputs(subject, "train")
        if train is None:
            return
        x, _, all_of_them = train
        rows = hashes(x)
        if not told_apart(x, len(rows)):
            return
        leak = list(_leak(subject, rows, all_of_them))
        yield from leak
        yield from _copies(subject, rows, all_of_them)


def _leak(subject: Subject, rows: np.ndarray, whole: bool) -> Iterator[Suspicion]:
    val = inputs(subject, "val")
    if val is None:
        return
    theirs = hashes(val[0])
    share = float(np.isin(theirs, rows).mean())
    if share < LEAKED or (is_tokens(subject, subject.train.x) and share < ALIKE * _repeated(rows)):
        return
    rest = np.flatnonzero(~np.isin(rows, theirs))
    cures: tuple[Cure, ...] = ()
    if whole and len(rest) >= max(ENOUGH, 0.2 * len(rows)):
        cures = (keep(torch.from_numpy(rest), len(rows), "leave validation samples out of the training part"),)
    yield Suspicion(
        "train-val-leak", "val.X",
        f"{share:.0%} of the validation samples are in the training part too: their score says nothing about others.",
        {"share of validation samples": share, "validation samples": float(len(theirs))},
        prior=0.9 if cures else 0.05, certain=bool(cures), loss=min(1.0, 0.05 + 0.5 * share), cures=cures,
    )  # fmt: skip


def _repeated(rows: np.ndarray) -> float:
    """Share of the rows that are there more than once: as often short texts meet across the parts by chance."""
    _, back, counts = np.unique(rows, return_inverse=True, return_counts=True)
    return float((counts[back] > 1).mean())


def _copies(subject: Subject, rows: np.ndarray, whole: bool) -> Iterator[Suspicion]:
    _, first, counts = np.unique(rows, return_index=True, return_counts=True)
    share = 1.0 - len(first) / len(rows)
    if share < COPIED or (whole and _oversampled(subject, np.sort(first))):
        return
    cures: tuple[Cure, ...] = ()
    if whole and len(first) >= ENOUGH:
        cures = (keep(torch.from_numpy(np.sort(first)), len(rows), "keep one of each copied sample"),)
    yield Suspicion(
        "duplicate-samples", "train.X",
        f"{share:.0%} of the {len(rows)} training samples are copies of others; the commonest is there "
        f"{int(counts.max())} times.",
        {"share of copies": share, "most copies of one": float(counts.max())},
        prior=0.6, certain=share > 0.4 and bool(cures), loss=0.05 + 0.2 * share, cures=cures,
        explains=frozenset(["input-constant-feature"]),  # few samples vary in few of them
    )  # fmt: skip


def _oversampled(subject: Subject, kept: np.ndarray) -> bool:
    """Do the copies make the classes more alike in number than they would be without?"""
    answers = answers_of(subject)
    codes = answers.codes()
    if codes is None or len(codes) < len(kept) or int(kept.max()) >= len(codes):
        return False
    most = int(codes.max()) + 1
    with_copies = torch.bincount(codes, minlength=most).double()
    without = torch.bincount(codes[torch.from_numpy(kept)], minlength=most).double()
    return bool(with_copies.min() / with_copies.max() > 1.5 * without.min() / without.max())
