"""The probes, found by place: ``clinic/probes/*.py`` with ``PHASE``, ``COST`` and ``probe(subject)``.

Phases: ``contract`` (data, head and loss against each other; also asked of programs that crash), ``structure`` (the
net and its optimizer before a step), ``signal`` (a few passes), ``training`` (reads the rehearsals).
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import trainwell.clinic.probes as place
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASES = ("contract", "structure", "signal", "training")
Probe = Callable[[Subject], Iterator[Suspicion]]


@cache
def probes(phase: str) -> tuple[Any, ...]:
    """The modules of the probes of one phase, in the order of their names."""
    names = sorted(info.name for info in pkgutil.iter_modules(place.__path__))
    modules = [importlib.import_module(f"{place.__name__}.{name}") for name in names]
    return tuple(module for module in modules if phase == module.PHASE)


def suspicions(subject: Subject, *phases: str) -> list[Suspicion]:
    """What the probes of these phases suspect, the likeliest first."""
    found = [one for phase in phases for module in probes(phase) for one in _asked(module, subject)]
    return likeliest_first(found)


def likeliest_first(found: list[Suspicion]) -> list[Suspicion]:
    """What is certain before all else, then by prior."""
    return sorted(found, key=lambda one: (-one.certain, -one.prior))


def _asked(module: Any, subject: Subject) -> Iterator[Suspicion]:
    """What a probe suspects; one that fails on this program is noted, and the others go on."""
    try:
        yield from module.probe(subject)
    except Exception as error:  # a stranger's program may break anything that looks at it
        subject.unasked.append(f"{module.__name__.rpartition('.')[2]}: {type(error).__name__}: {error}")
