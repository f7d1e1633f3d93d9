"""One experiment, run and judged: with its cause, without it, and the figure of both."""

import importlib
import inspect
import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from trainwell.lab import remembered
from trainwell.lab.catalogue import Entry
from trainwell.lab.experiment import DEFECT, HOLDS, judge
from trainwell.report.drawing import INK, LINES, draw

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Options:
    """How to run an experiment.

    Attributes:
        full: the published setting in place of the quick one.
        seed: in place of the setting's own.
        sabotage: the control takes the measured place: a sound experiment then does not hold.
        again: measure even if the result is remembered.
    """

    full: bool = False
    seed: int | None = None
    sabotage: bool = False
    again: bool = False


def run(entry: Entry, options: Options = Options()) -> dict[str, Any]:
    """Run an experiment, or recall its result: ``id verdict checks control seconds figure`` and more, for JSON."""
    module = importlib.import_module(entry.module)
    setting = module.FULL if options.full else module.QUICK
    if options.seed is not None:
        setting = replace(setting, seed=options.seed)
    name = remembered.key(entry.path, setting, options.sabotage)
    result = None if options.again else remembered.recall(name)
    if result is None:
        result = measured(entry, module, setting, options)
        remembered.remember(name, result)
        return result | {"remembered": False}
    return result | {"remembered": True}


def measured(entry: Entry, module: Any, setting: Any, options: Options) -> dict[str, Any]:
    """Measure, check, judge and draw."""
    began = time.perf_counter()
    first, second = (module.measure(setting, cause) for cause in (not options.sabotage, options.sabotage))
    seconds = time.perf_counter() - began
    checks, control = module.check(first), module.check(second)
    verdict, defects = judge(checks, control, theory=not options.sabotage)
    swapped, _ = judge(control, checks, theory=options.sabotage)
    return {
        **described(entry),
        "verdict": verdict,
        "swapped": swapped,  # the verdict with the control in the measured place, and back under sabotage
        "defects": defects,
        "checks": [check.to_dict() for check in checks],
        "control": [check.to_dict() for check in control],
        "seconds": seconds,
        "sabotage": options.sabotage,
        "full": options.full,
        "setting": asdict(setting),
        "versions": remembered.versions(),
        "formula": str(_formula(entry.id, module.FORMULA)),
        "figure": str(_figure(entry.id, module, first, second)),
        "code": inspect.getsource(module),
    }


def described(entry: Entry) -> dict[str, Any]:
    """What the catalogue says of an experiment."""
    names = ("id", "claim", "topic", "theory", "source")
    return {name: getattr(entry, name) for name in names} | {"decks": list(entry.decks), "removed": entry.control}


def unsound(result: dict[str, Any]) -> bool:
    """Whether the result is the experiment's fault: a defect, or a control that holds in the measured place."""
    return result["verdict"] == (HOLDS if result["sabotage"] else DEFECT)


def _figure(name: str, module: Any, with_cause: Any, control: Any) -> str:
    def paint(figure: "Figure") -> None:
        axes = figure.subplots()
        axes.set_prop_cycle(color=LINES)
        module.draw(with_cause, control, axes)
        axes.legend(frameon=False, labelcolor=INK, fontsize=7)

    return draw(name, paint, width=6.4, height=3.4)


def _formula(name: str, formula: str) -> str:
    """The lines of a formula as outlines, so that the page needs no font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.patches import PathPatch
    from matplotlib.textpath import TextPath

    font, size, spacing = FontProperties(math_fontfamily="cm"), 13.0, 30.0  # points, of which the page makes units
    lines = [f"${line.strip()}$" for line in formula.strip().splitlines()]
    paths = [
        TextPath((2.0, spacing * (len(lines) - place - 0.65)), line, size=size, prop=font)
        for place, line in enumerate(lines)
    ]

    def paint(figure: "Figure") -> None:
        for path in paths:
            figure.add_artist(PathPatch(path, facecolor=INK, linewidth=0, transform=None))

    width = max(420.0, *(path.get_extents().x1 + 2 for path in paths))  # short formulas are not blown up
    return draw(f"{name} formula", paint, width=width / 72, height=spacing * len(lines) / 72)
