"""The page of an exam, and the part of it that a notebook shows: findings, pictures, what was tried, the proof.

Both are written from plain numbers and texts (``clinic.shown_page.page_of``), None for what is not finite.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainwell.report.curves import log_scale, scale_axis, whole_ticks
from trainwell.report.drawing import FIRST, INK, SECOND, VARIABLES, Drawing, draw
from trainwell.report.page import fill, write_page

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
COLOURS = {"before": SECOND, "after": FIRST}
WORDS = {"before": "as given", "after": "with the cure"}
FAR = 30.0  # times the median from which a loss is left outside of the picture
NEVER = 1e-30  # smaller moments are drawn there


def write_exam(found: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of an exam in one piece.

    Raises:
        JobError: if the file cannot be written.
    """
    return write_page(render_exam(found), path)


def render_exam(found: Mapping[str, Any]) -> str:
    """Return the page as HTML. Equal exams give equal text."""
    return fill("exam.html", "", "", **_values(found))


def exam_fragment(found: Mapping[str, Any]) -> str:
    """Return what a notebook shows: the same without the frame, and with styles of its own."""
    return fill("exam_fragment.html", "", "", **_values(found))


def _values(found: Mapping[str, Any]) -> dict[str, Any]:
    causes = [f for f in found["findings"] if f["severity"] != "info"]
    return {
        "found": found,
        "causes": causes,
        "asides": [f for f in found["findings"] if f["severity"] == "info"],
        "badges": {"error": "fails", "warning": "part", "info": ""},
        "drawings": drawings(found),
    }


def drawings(found: Mapping[str, Any]) -> list[Drawing]:
    """Return the pictures that there are numbers for."""
    made = [_losses(found["runs"], found["comparable"])]
    signal = found["signal"]
    made += [
        _by_layer("Second moment of each layer's output", "moment", signal, "Before the first step, on own samples."),
        _by_layer(
            "Gradient norm of each layer, over that of the last",
            "gradient",
            signal,
            "Before the first step, of a random direction of the output.",
        ),
        _spectra(found["spectra"]),
    ]
    return [drawing for drawing in made if drawing is not None]


def _losses(runs: Mapping[str, Any], comparable: bool) -> Drawing | None:
    lines = {name: _floats(run["losses"]) for name, run in runs.items() if run is not None}
    lines = {name: values for name, values in lines.items() if np.isfinite(values).sum() > 1}
    if not lines:
        return None
    if not comparable:
        lines = {name: values / abs(values[np.isfinite(values)][0] or 1.0) for name, values in lines.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in lines.values()])
    top = FAR * float(np.median(np.abs(finite)))
    lines = {name: np.where(np.abs(values) <= top, values, np.nan) for name, values in lines.items()}
    logarithmic = log_scale(*lines.values())

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for name, values in lines.items():
            at = np.arange(1, len(values) + 1)
            axes.plot(at, values, color=COLOURS[name])
            known = np.flatnonzero(np.isfinite(values))
            if len(known):
                axes.plot(at[known[-1]], values[known[-1]], "o", color=COLOURS[name])
        axes.set_xlabel("step of the rehearsal")
        whole_ticks(axes)
        scale_axis(axes, logarithmic)

    legend = tuple((VARIABLES[COLOURS[name]], f"{WORDS[name]}: {runs[name]['said']}") for name in lines)
    notes = [
        "" if comparable else "Each over its first value: the cure changes the unit of the loss.",
        *(f"{WORDS[name].capitalize()}, it breaks off." for name in lines if not runs[name]["finite"]),
        "Logarithmic axis." if logarithmic else "",
    ]
    note = " ".join(filter(None, notes))
    return Drawing("Loss in a rehearsal of the training", draw("exam-loss", paint), legend, note)


def _by_layer(title: str, name: str, signal: Mapping[str, Any], note: str) -> Drawing | None:
    lines = {part: _floats(signal[part][name]) for part in ("before", "after") if signal[part] is not None}
    lines = {part: values for part, values in lines.items() if np.isfinite(values).any() and len(values) > 1}
    theory = {part: _floats(signal[part]["theory"][name]) for part in lines if signal[part]["theory"] is not None}
    if not lines:
        return None
    every = [np.where(values > NEVER, values, np.nan) for values in (*lines.values(), *theory.values())]
    logarithmic = log_scale(*every)

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for part, values in lines.items():
            at = np.arange(1, len(values) + 1)
            if part in theory:
                axes.plot(at, theory[part], color=COLOURS[part], linewidth=1.1, linestyle=(0, (4, 2)))
            axes.plot(at, values, "o", color=COLOURS[part])
        axes.set_xlabel("layer with weights")
        whole_ticks(axes)
        scale_axis(axes, logarithmic)

    legend = [(VARIABLES[COLOURS[part]], WORDS[part]) for part in lines]
    notes = [note, "Dashed: what theory predicts." if theory else "Theory cannot follow this net."]
    notes += ["Logarithmic axis."] if logarithmic else []
    return Drawing(title, draw(f"exam-{name}", paint), tuple(legend), " ".join(notes))


def _spectra(spectra: Mapping[str, Any]) -> Drawing | None:
    parts = {part: told for part, told in spectra.items() if told is not None}
    if not parts:
        return None
    columns = {part: [_floats(values) for values in told["values"]] for part, told in parts.items()}
    top = max(float(np.nanmax(values)) for column in columns.values() for values in column)
    if not top > 0:
        return None
    shift = 0.16 if len(parts) > 1 else 0.0

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for part, told in parts.items():
            aside = shift if part == "after" else -shift
            for layer, (values, edges) in enumerate(zip(columns[part], told["edges"], strict=True), 1):
                axes.plot(np.full(len(values), layer + aside), values, "_", color=COLOURS[part], alpha=0.6)
                reach = [layer + aside - 0.12, layer + aside + 0.12]
                for edge in edges:
                    axes.plot(reach, [edge, edge], color=INK, linewidth=1.1)
        axes.set_xlabel("layer with a weight matrix")
        axes.set_ylim(bottom=0.0)
        whole_ticks(axes)

    legend = tuple((VARIABLES[COLOURS[part]], WORDS[part]) for part in parts)
    note = (
        "Before the first step; a dash a value. Dark lines: the edges between which the values of independent weights "
        "of the same size lie (Marchenko and Pastur). Rows that are alike have one large value and zeros."
    )
    return Drawing("Singular values of each layer's weights", draw("exam-spectra", paint), legend, note)


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
