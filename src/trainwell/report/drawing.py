"""A matplotlib figure as SVG that takes its colours from the page, so that one drawing serves light, dark and paper.

Figures are drawn in placeholder colours (``INK`` …) that become CSS variables. No text of the user enters a figure
(titles and legends stand around it in the page): nothing to escape, no mathtext, no missing glyphs.
"""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from trainwell.report.words import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, GRID, FIRST, SECOND, MARK, FAINT = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
LINES = tuple(f"#0{i}0{i}0a" for i in range(1, 9))  # of equals, such as methods side by side
VARIABLES = {INK: "ink-2", GRID: "grid", FIRST: "first", SECOND: "second", MARK: "mark", FAINT: "faint"}
VARIABLES |= {colour: f"c{i}" for i, colour in enumerate(LINES)}

STYLE: dict[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.labelsize": 8,
    "axes.linewidth": 0.8,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "font.family": "DejaVu Sans",
    "font.size": 8,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "lines.linewidth": 1.7,
    "lines.markersize": 3.5,
    "lines.solid_capstyle": "round",
    "path.simplify": True,
    "path.simplify_threshold": 0.2,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "xtick.color": GRID,
    "xtick.labelcolor": INK,
    "xtick.labelsize": 8,
    "xtick.major.size": 3,
    "xtick.minor.size": 0,
    "ytick.color": GRID,
    "ytick.labelcolor": INK,
    "ytick.labelsize": 8,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
}


@dataclass(frozen=True)
class Drawing:
    """A figure of the page: its title, the SVG, what the colours mean (variable, words), a sentence below."""

    title: str
    svg: Markup
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


def draw(name: str, paint: "Callable[[Figure], None]", width: float = 4.5, height: float = 2.5) -> Markup:
    """Return what ``paint`` draws as inline SVG.

    Args:
        name: names the figure within the page (its ids differ from those of all other names).
        paint: draws on the empty figure it is given.
        width, height: in inches at 72 units an inch; the page stretches the figure to its column.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = STYLE | {"svg.hashsalt": name}
    with matplotlib.rc_context():
        matplotlib.rcdefaults()  # a matplotlibrc of the user (LaTeX, large fonts) must not reach the page
        matplotlib.rcParams.update(settings)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return _inline(buffer.getvalue())


def _inline(svg: str) -> Markup:
    """Strip what a file needs and a page does not, round to 0.01 units, and let the page colour it."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>", r'<svg class="plot" \1 aria-hidden="true">', svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r"font(-family)?: (\d+px )?'[^;\"]*;? ?", "", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\d\.\d\d)\d+", r"\1", tag[0]), svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return Markup(svg)


def plain_ticks(axes: "Axes", x: bool = True, y: bool = True) -> None:
    """Label the ticks with plain numbers (0.001 and 1e−06, never 10 with an exponent above or an offset)."""
    from matplotlib.ticker import FuncFormatter

    form = FuncFormatter(lambda value, _: number(value, 6))
    for wanted, axis in ((x, axes.xaxis), (y, axes.yaxis)):
        if wanted:
            axis.set_major_formatter(form)
