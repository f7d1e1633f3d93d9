"""Pictures of what theory predicts of a net, and of the phase diagram: a page or an SVG file.

They are drawn from the JSON of ``trainwell theory``: plain numbers and texts, None for what is not finite.
"""

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainwell.errors import InputError
from trainwell.report.curves import log_scale, scale_axis, whole_ticks
from trainwell.report.drawing import FAINT, FIRST, GRID, INK, LINES, MARK, SECOND, STYLE, VARIABLES, Drawing, draw
from trainwell.report.page import fill, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

Floats = NDArray[np.float64]

LIGHT = {INK: "#5a6675", GRID: "#e6eaef", FIRST: "#2f6fd0", SECOND: "#d07a1c", MARK: "#8a94a3", FAINT: "#c9d8f0"}
LIGHT |= dict(zip(LINES, ("#2f6fd0", "#d0701c", "#2a8a5c", "#b53a7c", "#7657cf", "#9a8500"), strict=False))
SUFFIXES = (".html", ".svg")


@dataclass(frozen=True)
class Picture:
    """One set of axes: title, what paints it, colours and what they mean, a sentence below."""

    title: str
    paint: "Callable[[Axes], None]"
    legend: tuple[tuple[str, str], ...]
    note: str = ""


def save_theory(found: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write what ``trainwell theory --json`` gives as a page or, for a name that ends in .svg, as a picture.

    Raises:
        InputError: for another ending.
        JobError: if the file cannot be written.
    """
    target = check_suffix(path)
    kinds = {"border": phase_pictures, "density": spectrum_pictures, "layers": net_pictures}
    pictures = next(draw_kind for key, draw_kind in kinds.items() if key in found)(found)
    if target.suffix.lower() == ".svg":
        return write_page(_svg(pictures), target)
    drawings = [_drawing(index, picture) for index, picture in enumerate(pictures)]
    return write_page(fill("theory.html", "", "", found=found, title=_title(found), drawings=drawings), target)


def check_suffix(path: str | os.PathLike[str]) -> Path:
    """Return the path.

    Raises:
        InputError: unless it ends in .html or .svg.
    """
    target = Path(path)
    if target.suffix.lower() not in SUFFIXES:
        raise InputError(f"--save {target}: the picture is written as .html or .svg.", "Name the file accordingly.")
    return target


def net_pictures(found: Mapping[str, Any]) -> list[Picture]:
    """Return second moment and gradient norm by layer, measured ones as dots with two standard errors."""
    predicted, measured = found["layers"], found["measured"]
    return [
        _by_layer("Second moment E z² by layer", "moment", predicted, measured),
        _by_layer("Gradient norm, over that of the last layer", "gradient", predicted, measured),
    ]


def _by_layer(title: str, name: str, rows: Sequence[Mapping[str, Any]], measured: Mapping[str, Any] | None) -> Picture:
    theory = _floats([row[name] for row in rows])
    at = np.arange(1, len(theory) + 1)
    seen = None if measured is None else _floats(measured[name])
    error = None if measured is None else np.nan_to_num(_floats(measured[f"{name}_error"]))
    both = [values for values in (theory, seen) if values is not None]
    logarithmic = log_scale(*both)

    def paint(axes: "Axes") -> None:
        axes.plot(at, theory, color=FIRST, label="theory", marker="o" if len(at) == 1 else None)
        if seen is not None and error is not None:
            bars = 2 * error
            low = np.minimum(bars, 0.9 * seen) if logarithmic else bars
            axes.errorbar(at, seen, yerr=[low, bars], color=SECOND, fmt="o", linewidth=1, label="measured")
        axes.set_xlabel("layer")
        whole_ticks(axes)
        scale_axis(axes, logarithmic)

    legend = [(FIRST, "theory")] + [(SECOND, "measured, two standard errors")] * (seen is not None)
    return Picture(title, paint, tuple(legend), "Logarithmic axis." if logarithmic else "")


def phase_pictures(found: Mapping[str, Any]) -> list[Picture]:
    """Return the border between the phases, and the trainable depth against σ_w."""
    sigma_b = _floats([row["sigma_b"] for row in found["border"]])
    sigma_w = _floats([row["sigma_w"] for row in found["border"]])
    advice = found["recommended"]

    def border(axes: "Axes") -> None:
        known = np.isfinite(sigma_w)
        if known.any():
            top = 1.3 * float(sigma_w[known].max())
            axes.fill_between(sigma_b[known], 0, sigma_w[known], color=FAINT, linewidth=0, label="ordered")
            axes.plot(sigma_b[known], sigma_w[known], color=FIRST, marker="o", label="edge of chaos")
            axes.set_ylim(0, top)
        if advice is not None:
            axes.plot(advice["sigma_b"], advice["sigma_w"], "o", color=SECOND, markersize=6, label="recommended")
        axes.set_xlabel("σ_b")
        axes.set_ylabel("σ_w")

    def depths(axes: "Axes") -> None:
        for colour, row in zip(LINES, found["depths"], strict=False):
            values = np.minimum(np.nan_to_num(_floats(row["depth"]), nan=1000.0), 1000.0)
            axes.plot(row["sigma_w"], values, color=colour, label=f"σ_b = {row['sigma_b']:g}")
        axes.set_xlabel("σ_w")
        axes.set_ylabel("layers")
        scale_axis(axes, True)

    lines = tuple((c, f"σ_b = {row['sigma_b']:g}") for c, row in zip(LINES, found["depths"], strict=False))
    names = [(FIRST, "edge of chaos"), (FAINT, "ordered phase, gradients vanish"), (SECOND, "recommended")]
    return [
        Picture("Phases of deep nets", border, tuple(names), "Above the edge is the chaotic phase: gradients explode."),
        Picture("Trainable depth 6 ξ", depths, lines, "Logarithmic axis, cut at 1,000 layers."),
    ]


def spectrum_pictures(found: Mapping[str, Any]) -> list[Picture]:
    """Return the density of the singular values that are not 0."""
    at, density = _floats(found["density"]["s"]), _floats(found["density"]["density"])

    def paint(axes: "Axes") -> None:
        axes.plot(at, density, color=FIRST)
        known = density[np.isfinite(density)]
        axes.set_ylim(0, 1.2 * float(np.quantile(known, 0.97)) or 1.0)
        axes.set_xlabel("singular value")

    note = f"Another {found['zeros']:.0%} of the singular values are 0." if found["zeros"] else ""
    return [Picture("Density of the singular values", paint, ((FIRST, "theory"),), note)]


def _title(found: Mapping[str, Any]) -> str:
    if "border" in found:
        return f"Phase diagram of {found['activation']}"
    return str(found["net"])


def _drawing(index: int, picture: Picture) -> Drawing:
    def paint(figure: "Figure") -> None:
        picture.paint(figure.add_subplot())

    legend = tuple((VARIABLES[colour], text) for colour, text in picture.legend)
    return Drawing(picture.title, draw(f"theory-{index}", paint), legend, picture.note)


def _svg(pictures: Sequence[Picture]) -> str:
    """Return all pictures beside each other as one SVG document in the light page's colours."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = STYLE | {"svg.hashsalt": "theory", "savefig.facecolor": "white"}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(settings)
        figure = Figure(figsize=(4.5 * len(pictures), 3.0), layout="constrained")
        FigureCanvasSVG(figure)
        parts: Sequence[SubFigure] = list(figure.subfigures(1, len(pictures), squeeze=False).flat)
        for part, picture in zip(parts, pictures, strict=True):
            axes = part.add_subplot()
            picture.paint(axes)
            axes.set_title(picture.title, color=INK)
            if axes.get_legend_handles_labels()[0]:
                axes.legend(frameon=False, labelcolor=INK)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    for placeholder, colour in LIGHT.items():
        text = text.replace(placeholder, colour)
    return text


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
