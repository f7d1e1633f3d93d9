"""The alarms, found by place: ``watching/alarms/*.py``, each with a class ``Alarm``.

An alarm has one or more of these methods, all of which give findings:

    loss(seen, one)      when the loss of a pass is not finite, before anything follows from it
    gradient(seen)       when a gradient is not finite where the optimizer is about to use it
    step(seen)           after every step; with ``EVERY`` in its class, after every so many
    look(seen)           after a step that was looked at closely: ``seen.look``
    start(seen)          before the first step

``NEEDS`` names what it cannot do without, of ``loss`` and ``loader``, and ``BLIND`` says what is not seen then.
"""

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Any

import trainwell.clinic.watching.alarms as place
from trainwell.clinic.codes import CODES
from trainwell.clinic.finding import Evidence, Finding, severity

MOMENTS = ("loss", "gradient", "step", "look", "start")


@cache
def alarms() -> tuple[type, ...]:
    """The classes of all alarms, in the order of their files' names."""
    names = sorted(info.name for info in pkgutil.iter_modules(place.__path__))
    return tuple(importlib.import_module(f"{place.__name__}.{name}").Alarm for name in names)


def blind(alarm: Any, missing: Iterable[str]) -> str:
    """What this alarm does not see for lack of something, or ""."""
    return str(alarm.BLIND) if set(getattr(alarm, "NEEDS", ())) & set(missing) else ""


def found(code: str, where: str, message: str, evidence: Evidence, loss: float, *, level: str | None = None) -> Finding:
    """A finding of the watch.

    Args:
        code, where, message, evidence: see :class:`trainwell.clinic.finding.Finding`.
        loss: expected share of the final quality that is lost.
        level: severity, where it is not that of the loss.
    """
    return Finding(code, level or severity(loss), where, message, evidence, (), None, CODES[code].because, loss)
