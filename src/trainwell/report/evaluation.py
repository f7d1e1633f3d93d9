"""Figures of how good the predictions are: calibration, ROC, truth against prediction, residuals."""

from typing import TYPE_CHECKING

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from trainwell.report import words
from trainwell.report.curves import log_scale
from trainwell.report.drawing import FAINT, FIRST, INK, MARK, SECOND, Drawing, draw, plain_ticks
from trainwell.report.results import Residuals, Results, Roc
from trainwell.report.uncertainty import expected_calibration_error, wilson

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_POINTS = 1500
MOST_TARGETS = 4
DASHES = (0, (3, 3))


def quality(results: Results) -> list[Drawing]:
    """Return the figures that ``results`` has the numbers for."""
    drawings = [calibration(results), roc(results)]
    for place, residuals in enumerate(results.residuals[:MOST_TARGETS]):
        drawings += [scatter(residuals, place), errors(residuals, place)]
    return [drawing for drawing in drawings if drawing is not None]


def calibration(results: Results) -> Drawing | None:
    """Reliability: the share that was right against the confidence, with Wilson intervals, counts below."""
    bins = [b for b in results.calibration if b.count]
    if not bins:
        return None
    confidence, accuracy = np.array([b.confidence for b in bins]), np.array([b.accuracy for b in bins])
    ends = np.array([wilson(min(b.count, max(0.0, b.accuracy * b.count)), b.count) for b in bins])

    def paint(figure: "Figure") -> None:
        axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=DASHES)
        axes.vlines(confidence, ends[:, 0], ends[:, 1], color=FIRST, linewidth=1)
        axes.plot(confidence, accuracy, color=FIRST, marker="o", markersize=4)
        axes.set(ylabel="share right", xlim=(min(0.5, confidence.min()) - 0.02, 1.02))
        axes.set_ylim(min(0.5, float(ends[:, 0].min())) - 0.02, 1.03)
        below.bar(
            [(b.low + b.high) / 2 for b in bins],
            [b.count for b in bins],
            0.9 * np.array([b.high - b.low for b in bins]),
            color=FAINT,
        )
        below.set(xlabel="confidence", ylabel="count")
        _finish(axes)
        _finish(below, ticks=2)

    ece = expected_calibration_error(bins)
    total = sum(b.count for b in bins)
    gap = sum(b.count * (b.confidence - b.accuracy) for b in bins) / total
    verdict = "about right" if abs(gap) < 0.01 else "too sure" if gap > 0 else "too modest"
    note = f"Expected calibration error {words.percent(ece)}: on average the model is {verdict}. Bars: 95 % intervals."
    legend = (("first", "measured"), ("ink-2", "perfect"))
    return Drawing("Can its confidence be trusted?", draw("calibration", paint, height=3.3), legend, note)


def roc(results: Results) -> Drawing | None:
    """The ROC curve, with the point where the model's threshold lies (read off the confusion matrix)."""
    if results.roc is None:
        return None
    curve: Roc = results.roc
    matrix = results.confusion
    point = None
    if matrix is not None and np.shape(matrix) == (2, 2):
        negatives, positives = np.maximum(np.sum(matrix, axis=1), 1)
        point = (matrix[0, 1] / negatives, matrix[1, 1] / positives)

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=INK, linewidth=0.9, linestyle=DASHES)
        axes.fill_between(curve.false_positive_rate, curve.true_positive_rate, color=FIRST, alpha=0.08, linewidth=0)
        axes.plot(curve.false_positive_rate, curve.true_positive_rate, color=FIRST)
        if point:
            axes.plot(*point, color=SECOND, marker="o", markersize=6)
        axes.set(xlabel="false alarms", ylabel="found", xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        _finish(axes)

    legend = [("first", "model"), ("ink-2", "guessing")]
    note = f"Area under the curve {words.number(curve.area, 3)} (guessing 0.5, perfect 1)."
    if point:
        at = "" if results.threshold is None else f": “yes” from probability {words.number(results.threshold, 3)}"
        legend.insert(1, ("second", f"threshold{at}"))
        note += f" At the threshold it finds {words.percent(point[1])} with {words.percent(point[0])} false alarms."
    return Drawing("Found against false alarms (ROC)", draw("roc", paint, height=3.3), tuple(legend), note)


def scatter(residuals: Residuals, place: int = 0) -> Drawing | None:
    """Predicted against true values: at most ``MOST_POINTS`` evenly spaced samples, as one path of dots."""
    truth, predicted = _finite(residuals)
    if not len(truth):
        return None
    chosen = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), MOST_POINTS)).round().astype(int))
    logarithmic = log_scale(truth) and bool((predicted > 0).all())
    low, high = min(truth.min(), predicted.min()), max(truth.max(), predicted.max())

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        size = 2.6 if len(chosen) > 60 else 5
        dots = [np.stack([v[chosen], v[chosen], np.full(len(chosen), np.nan)], 1).ravel() for v in (truth, predicted)]
        (line,) = axes.plot(*dots, color=FIRST, linewidth=size, alpha=0.45, solid_capstyle="round")
        line.get_path().should_simplify = False
        axes.plot([low, high], [low, high], color=MARK, linewidth=1, linestyle=DASHES)
        axes.set(xlabel="truth", ylabel="predicted")
        if logarithmic:
            axes.set(xscale="log", yscale="log")
        _finish(axes, log=logarithmic)

    shown = f"{words.count(len(chosen))} of {words.count(len(truth))} samples" if len(chosen) < len(truth) else ""
    note = ". ".join(text for text in (shown, "Logarithmic axes" if logarithmic else "") if text)
    title = f"{residuals.target or 'Target'}: predicted against true"
    legend = (("first", "samples"), ("mark", "perfect"))
    return Drawing(title, draw(f"scatter-{place}", paint, height=3.3), legend, note + "." * bool(note))


def errors(residuals: Residuals, place: int = 0) -> Drawing | None:
    """Histogram of predicted − true between the 0.5th and 99.5th percentile."""
    truth, predicted = _finite(residuals)
    if not len(truth):
        return None
    difference = predicted - truth
    ends = np.percentile(difference, [0.5, 99.5]) if len(difference) > 200 else (difference.min(), difference.max())
    note = (
        f"Mean {words.number(float(difference.mean()), 3)}, median of the absolute error "
        f"{words.number(float(np.median(np.abs(difference))), 3)}, nine of ten within "
        f"±{words.number(float(np.percentile(np.abs(difference), 90)), 3)}."
    )
    svg = histogram(
        f"errors-{place}",
        difference,
        (float(ends[0]), float(ends[1])),
        "predicted − true",
        zero=True,
        height=3.3,
    )
    return Drawing(f"{residuals.target or 'Target'}: residuals", svg, note=note)


def histogram(
    name: str,
    values: NDArray[np.floating],
    ends: tuple[float, float],
    label: str,
    zero: bool = False,
    height: float = 2.5,
) -> Markup:
    """Return the SVG of a histogram of ``values`` between ``ends``; ``zero`` marks 0."""
    low, high = ends if ends[1] > ends[0] else (ends[0] - 0.5, ends[1] + 0.5)
    counts, edges = np.histogram(values, bins=int(np.clip(2 * len(values) ** (1 / 3), 8, 40)), range=(low, high))

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        axes.bar(edges[:-1], counts, 0.92 * np.diff(edges), align="edge", color=FIRST, linewidth=0)
        if zero and low < 0 < high:
            axes.axvline(0, color=MARK, linewidth=1, linestyle=DASHES)
        axes.set(xlabel=label, ylabel="samples")
        _finish(axes)

    return draw(name, paint, height=height)


def _finite(residuals: Residuals) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    truth, predicted = np.asarray(residuals.truth, np.float64), np.asarray(residuals.predicted, np.float64)
    finite = np.isfinite(truth) & np.isfinite(predicted)
    return truth[finite], predicted[finite]


def _finish(axes: "Axes", log: bool = False, ticks: int = 6) -> None:
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        if log:
            axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=7))
            axis.set_minor_formatter(NullFormatter())
        else:
            nbins = 6 if axis is axes.xaxis else ticks
            axis.set_major_locator(MaxNLocator(nbins=nbins, steps=[1, 2, 5, 10]))
    plain_ticks(axes)
    axes.tick_params(axis="both", colors=INK, which="both", length=0)
