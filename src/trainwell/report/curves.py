"""The course of the training: loss and metrics by epoch, rate and gradient norm by step, the search for the rate."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trainwell.report import words
from trainwell.report.drawing import FAINT, FIRST, INK, MARK, SECOND, Drawing, draw, plain_ticks
from trainwell.report.results import RateCurve, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

WIDE = 20.0  # the ratio of largest to smallest from which a logarithmic axis shows more
MOST_METRICS = 3
MOST_ROWS = 2000


def curves(results: Results) -> list[Drawing]:
    """Return the figures that ``results`` has the numbers for, in reading order."""
    names = [name for name in _metric_names(results) if name != "loss"][:MOST_METRICS]
    drawings = [_by_epoch(results, name) for name in ["loss", *names]]
    drawings += [_by_step(results, "lr"), _by_step(results, "grad_norm")]
    if results.rate_search is not None:
        drawings.append(_rate_search(results.rate_search))
    return [drawing for drawing in drawings if drawing is not None]


def _metric_names(results: Results) -> list[str]:
    """Names that an epoch tells of a part ("accuracy" of "val_accuracy"), the monitored one first."""
    names: dict[str, None] = {}
    for key in [results.monitor, *(key for epoch in results.epochs for key in epoch)]:
        head, _, name = key.partition("_")
        if head in ("train", "val") and name:
            names.setdefault(name)
    return list(names)


def series(rows: Sequence[Mapping[str, float]], x: str, y: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both columns, shape (N,), of the rows that have ``x``; NaN where ``y`` is missing or not finite.

    Of more than ``MOST_ROWS`` rows every second, third, … is taken.
    """
    pairs = [(row[x], row.get(y, np.nan)) for row in rows[:: max(1, -(-len(rows) // MOST_ROWS))] if x in row]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], np.where(np.isfinite(table[:, 1]), table[:, 1], np.nan)


def log_scale(*values: NDArray[np.float64]) -> bool:
    """Return whether a logarithmic axis suits: all positive, and largest over smallest beyond ``WIDE``."""
    finite = np.concatenate([v[np.isfinite(v)] for v in values])
    return bool(finite.size and finite.min() > 0 and finite.max() > WIDE * finite.min())


def _by_epoch(results: Results, name: str) -> Drawing | None:
    epoch, train = series(results.epochs, "epoch", f"train_{name}")
    _, val = series(results.epochs, "epoch", f"val_{name}")
    at, steps = series(results.steps, "epoch", name) if name == "loss" else (np.empty(0), np.empty(0))
    has = {key: bool(np.isfinite(v).any()) for key, v in (("train", train), ("val", val), ("steps", steps))}
    if not any(has.values()):
        return None
    best = results.best_epoch if results.best_epoch in epoch else None

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        if best is not None:
            axes.axvline(best, color=MARK, linewidth=1, linestyle=(0, (3, 3)))
        if has["steps"]:
            axes.plot(at, steps, color=FAINT, linewidth=0.9)
        marker = "o" if len(epoch) <= 40 else None
        for values, colour in ((train, FIRST), (val, SECOND)):
            axes.plot(epoch, values, color=colour, marker=marker)
        axes.set_xlabel("epoch")
        if len(epoch) == 1 and not has["steps"]:
            axes.set_xlim(epoch[0] - 1, epoch[0] + 1)
        whole_ticks(axes)
        scale_axis(axes, log_scale(train, val))
        if has["steps"] and (has["train"] or has["val"]):
            _crop(axes, np.concatenate([train, val]), steps)

    legend = [("faint", "each step")] * has["steps"] + [("first", "training")] * has["train"]
    legend += [("second", "validation")] * has["val"] + [("mark", f"kept: epoch {best}")] * (best is not None)
    note = "Logarithmic axis." if log_scale(train, val) else ""
    return Drawing(
        words.label(name).capitalize() if name != "r2" else "R²", draw(f"curve-{name}", paint), tuple(legend), note
    )


def _crop(axes: "Axes", lines: NDArray[np.float64], steps: NDArray[np.float64]) -> None:
    """Show all of the lines and most of the noisy steps: a few outliers would flatten everything else."""
    low, high = np.nanpercentile(steps, [1, 99])
    low, high = min(low, np.nanmin(lines)), max(high, np.nanmax(lines))
    if axes.get_yscale() == "log":
        if low > 0:
            axes.set_ylim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
    elif high > low:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _by_step(results: Results, name: str) -> Drawing | None:
    x, rows = ("step", results.steps) if any(name in row for row in results.steps) else ("epoch", results.epochs)
    at, values = series(rows, x, name)
    if not np.isfinite(values).any():
        return None
    logarithmic = log_scale(values) and (name != "lr" or float(np.nanmax(values)) > WIDE * float(np.nanmedian(values)))

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.plot(at, values, color=FIRST, linewidth=1.2, marker="o" if len(at) == 1 else None)
        axes.set_xlabel(x)
        whole_ticks(axes)
        scale_axis(axes, logarithmic)

    title = "Learning rate" if name == "lr" else "Gradient norm"
    return Drawing(title, draw(f"curve-{name}", paint), note="Logarithmic axis." if logarithmic else "")


def _rate_search(search: RateCurve) -> Drawing | None:
    rates, losses = np.asarray(search.rates, dtype=np.float64), np.asarray(search.losses, dtype=np.float64)
    shown = np.isfinite(losses) & (rates > 0)
    if not shown.any():
        return None

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.axvline(search.picked, color=MARK, linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(rates[shown], losses[shown], color=FIRST)
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        low, high = losses[shown].min(), losses[shown].max()
        top = min(high, losses[shown][0] + (losses[shown][0] - low))
        if top > low:
            axes.set_ylim(low - 0.08 * (top - low), top + 0.05 * (top - low))
        scale_axis(axes, False)

    legend = (("first", "loss"), ("mark", f"picked: {words.number(search.picked, 3)}"))
    return Drawing("Search for the learning rate", draw("rate-search", paint), legend)


def whole_ticks(axes: "Axes") -> None:
    """Number epochs and steps with whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=7, integer=True, steps=[1, 2, 5, 10]))


def scale_axis(axes: "Axes", logarithmic: bool) -> None:
    """Scale the vertical axis and number it plainly."""
    from matplotlib.ticker import MaxNLocator

    if logarithmic:
        axes.set_yscale("log")
        log_ticks(axes.yaxis)
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    plain_ticks(axes)
    axes.tick_params(axis="both", colors=INK, which="both", length=0)


def log_ticks(axis: "Axis") -> None:
    """Put ticks at 1, 2, 5 of each decade of a logarithmic axis, at fewer where there are many decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    subs = (1.0, 2.0, 5.0) if decades < 2.5 else (1.0, 3.0) if decades < 3.5 else (1.0,)
    axis.set_major_locator(LogLocator(subs=subs, numticks=8))
    axis.set_minor_formatter(NullFormatter())
