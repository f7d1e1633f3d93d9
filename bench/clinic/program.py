"""A program of the clinic's own suite: a small training, sick in a known way, and the same training repaired.

The modules of ``programs/`` hold lists ``PROGRAMS``; scripts beside this file reach them by ``load_programs()``, and
they import this one by its plain name (``from program import SuiteProgram``), as ``python bench/clinic/truth.py`` puts
this folder on the path. ``@program(PROGRAMS, ...)`` turns the function ``name(seed, sick)`` into the program ``name``.
"""

import hashlib
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

Case = dict[str, Any]  # model, train, val, loss, optimizer, batch_size, epochs; maybe shuffle, scheduler, clip_grad
Build = Callable[[int, bool], Case]


@dataclass(frozen=True)
class SuiteProgram:
    """One program and the truth about it.

    Attributes:
        id: unique name; its hash decides the half.
        source: where people post or publish such programs.
        task: ``classification``, ``binary``, ``regression`` or ``multilabel``.
        faults: codes that are right; several names of one cause unless ``causes`` is given; empty: healthy.
        symptoms: codes that a fair examiner might name as well.
        good: score on ``val`` that a repaired (or healthy) run reaches on every seed.
        note: what happens and why, one sentence.
        build: of (seed, sick), the program with its causes or without; a healthy one ignores ``sick``.
        causes: independent causes, each of which does harm alone; empty where there is one.
        build_with: of (seed, causes left in), for programs with ``causes``.
        metric: ``plain`` or ``balanced`` (mean recall over the classes).
    """

    id: str
    source: str
    task: str
    faults: tuple[str, ...]
    symptoms: tuple[str, ...]
    good: float
    note: str
    build: Build
    causes: tuple[str, ...] = ()
    build_with: Callable[[int, frozenset[str]], Case] | None = None
    metric: str = "plain"

    @property
    def half(self) -> str:
        """``tuning`` or ``held-out``: by a bit of the id's SHA-256, so that a program never changes sides."""
        return "held-out" if hashlib.sha256(self.id.encode()).digest()[0] % 2 else "tuning"


def program(
    into: list[SuiteProgram],
    *,
    task: str,
    good: float,
    note: str,
    source: str,
    faults: str = "",
    symptoms: str = "",
    metric: str = "plain",
) -> Callable[[Build], Build]:
    """Append what the decorated ``build(seed, sick)`` makes to a list; its name is the id, codes are one string."""

    def register(build: Build) -> Build:
        named = tuple(faults.split())
        fair = tuple(symptoms.split())
        into.append(SuiteProgram(build.__name__, source, task, named, fair, good, note, build, metric=metric))
        return build

    return register


def two_causes(
    into: list[SuiteProgram], *, task: str, causes: str, good: float, note: str, source: str, symptoms: str = ""
) -> Callable[[Callable[[int, frozenset[str]], Case]], Callable[[int, frozenset[str]], Case]]:
    """The same for ``build(seed, causes left in)`` with independent causes, which are its faults."""

    def register(build_with: Callable[[int, frozenset[str]], Case]) -> Callable[[int, frozenset[str]], Case]:
        named = tuple(causes.split())
        build = partial(_all_or_none, build_with, frozenset(named))
        fair = tuple(symptoms.split())
        into.append(SuiteProgram(build_with.__name__, source, task, named, fair, good, note, build, named, build_with))
        return build_with

    return register


def _all_or_none(
    build_with: Callable[[int, frozenset[str]], Case], causes: frozenset[str], seed: int, sick: bool
) -> Case:
    return build_with(seed, causes if sick else frozenset())


def load_programs() -> dict[str, SuiteProgram]:
    """All programs of ``programs/*.py`` by id.

    Raises:
        ValueError: if two programs share an id.
    """
    found: dict[str, SuiteProgram] = {}
    for path in sorted((Path(__file__).parent / "programs").glob("*.py")):
        for entry in getattr(importlib.import_module(f"programs.{path.stem}"), "PROGRAMS", ()):
            if entry.id in found:
                raise ValueError(f"load_programs: {path.name} has the id {entry.id!r} again. Choose another one.")
            found[entry.id] = entry
    return found
