"""The page of a race of methods: who won, curves by step and by second, standings, levels, the search for the rates.

It is written from the race's own JSON (``race.json``): plain numbers and texts, None for what is not finite.
"""

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trainwell.report import words
from trainwell.report.curves import log_scale, log_ticks, scale_axis, whole_ticks
from trainwell.report.drawing import LINES, VARIABLES, Drawing, draw, plain_ticks
from trainwell.report.page import fill, write_page

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    Floats = NDArray[np.float64]

DASHES = ("solid", (0, (5, 2)), (0, (1.5, 1.5)))  # of the first, second, third eight methods
UNEVEN = 5.0  # the ratio of most to fewest steps from which a logarithmic axis shows more
EARLY = 0.1  # share of the axis, likewise
SCORES = ("accuracy", "r2")
STATUS = {
    "finished": "finished",
    "stopped": "stopped early",
    "diverged": "diverged",
    "failed": "failed",
    "skipped": "left out",
}


def write_race(race: Mapping[str, Any], path: str | os.PathLike[str]) -> Path:
    """Write the page of a race in one piece.

    Args:
        race: what ``search.Race.to_dict`` gives.

    Raises:
        JobError: if the file cannot be written.
    """
    return write_page(render_race(race), path)


def render_race(race: Mapping[str, Any]) -> str:
    """Return the page as HTML. Equal races give equal text."""
    methods = race["methods"]
    score = next((name for name in SCORES for m in methods if name in m["final"]["val"]), None)
    return fill(
        "race.html",
        race["race"] or "",
        race.get("created", ""),
        race=race,
        title=title(race),
        headline=headline(race["winner"]),
        sentences=sentences(race),
        cards=cards(race),
        notes=[f"{m['name']}: {m['note']}" for m in methods if m["note"]],
        colours={m["name"]: _variable(i) for i, m in enumerate(methods)},
        status=STATUS,
        score=score,
        curves=curves(methods, score),
        rates=rate_figure(methods),
        levels=[(part, race["levels"][part]) for part in ("train", "val") if race["levels"][part]],
        command=command(race),
    )


def title(race: Mapping[str, Any]) -> str:
    """Return what was raced on what."""
    names = ", ".join(m["name"] for m in race["methods"])
    return f"{names} on {race['data']}" if race.get("data") else names


def headline(winner: Mapping[str, str | None]) -> str:
    """Return the outcome in a line."""
    step, second = winner["step"], winner["second"]
    if step is None or second is None:
        return "No method brought the training loss down"
    return (
        f"{step} wins by steps and by the clock" if step == second else f"{second} wins by the clock, {step} by steps"
    )


def sentences(race: Mapping[str, Any]) -> list[str]:
    """Return what has to be known to read the page."""
    told = []
    if race["target"] is not None:
        told.append(
            f"The winner is the first whose training loss is down at {words.number(race['target'])}, 90 % of the way "
            "from the common start to the lowest loss that any method reached."
        )
    told.append("All began with the same weights and saw the same batches; losses are measured on the same samples.")
    if race["tuning"]["steps"]:
        told.append(
            f"Each method's rate is the best of {len(race['tuning']['factors'])} in trials of "
            f"{words.count(race['tuning']['steps'])} steps."
        )
    if race["steps_each"]:
        told.append(f"Each method was given {words.count(race['steps_each'])} steps.")
    elif race["seconds_each"]:
        told.append(
            f"Each method was given {words.duration(race['seconds_each'])} of its own training time, over which its "
            "schedule runs: at the same step, a method that makes more steps is earlier in its schedule."
        )
    if race["stopped"]:
        told.append("The race was stopped by a signal before its end.")
    return told


def cards(race: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return (label, value, remark) of the winners and of what was raced."""
    found = []
    by_name = {m["name"]: m for m in race["methods"]}
    for key, label in (("second", "first by the clock"), ("step", "first by steps"), ("validation", "best validation")):
        name = race["winner"][key]
        if name is None:
            continue
        m = by_name[name]
        remark = _best_validation(m)
        if key == "second":
            remark = f"target after {words.duration(m['seconds_to_target'])}"
        elif key == "step":
            remark = f"target after {words.count(round(m['steps_to_target']))} steps"
        found.append((label, name, remark))
    if race.get("model"):
        found.append(("model", race["model"], f"{words.short(race['parameters'])} parameters"))
    return found


def _best_validation(method: Mapping[str, Any]) -> str:
    for name in SCORES:
        values = [look.get(f"val_{name}") for look in method["curve"]]
        finite = [value for value in values if value is not None]
        if finite:
            return f"{words.label(name)} {words.metric(name, max(finite))}"
    losses = [look["val_loss"] for look in method["curve"] if look.get("val_loss") is not None]
    return f"loss {words.number(min(losses))}" if losses else ""


def curves(methods: Sequence[Mapping[str, Any]], score: str | None) -> list[Drawing]:
    """Return the figures of losses and the score, each by step and by second."""
    names = [("train_loss", "Training loss"), ("val_loss", "Validation loss")]
    names += [(f"val_{score}", f"Validation {words.label(score)}")] if score else []
    return [
        drawing
        for name, title in names
        for by, unit in (("step", "step"), ("seconds", "second"))
        if (drawing := _curve(methods, name, f"{title} by {unit}", by)) is not None
    ]


def _curve(methods: Sequence[Mapping[str, Any]], name: str, title: str, by: str) -> Drawing | None:
    lines = {i: (_column(m["curve"], by), _column(m["curve"], name)) for i, m in enumerate(methods)}
    lines = {i: (x, y) for i, (x, y) in lines.items() if np.isfinite(y).sum() > 1}
    if not lines:
        return None
    ends = [float(x[-1]) for x, _ in lines.values()]
    wide = max(ends) > UNEVEN * min(ends) or _early([(x / max(ends), y) for x, y in lines.values()])
    is_loss = name.endswith("loss")
    start = next(float(y[0]) for _, y in lines.values())
    shown = [np.where(y <= 1.5 * abs(start), y, np.nan) if is_loss else y for _, y in lines.values()]
    logarithmic = is_loss and log_scale(*shown)

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for i, (x, y) in lines.items():
            seen = x > 0 if wide else x >= 0
            axes.plot(x[seen], y[seen], color=_colour(i), linestyle=_dash(i))
        _end_marks(axes, lines)
        axes.set_xlabel(by)
        if wide:
            axes.set_xscale("log")
            log_ticks(axes.xaxis)
        elif by == "step":
            whole_ticks(axes)
        _limit(axes, shown, logarithmic, is_loss)
        scale_axis(axes, logarithmic)

    kinds = ["vertical axis" if logarithmic else "", "horizontal axis" if wide else ""]
    note = f"Logarithmic {' and '.join(filter(None, kinds))}." if any(kinds) else ""
    legend = tuple((_variable(i), methods[i]["name"]) for i in lines)
    return Drawing(title, draw(f"race-{name}-{by}", paint), legend, note)


def _early(lines: Sequence[tuple["Floats", "Floats"]]) -> bool:
    """Is half of the way from start to end behind in the first ``EARLY`` of the axis, for most curves?"""
    halves = []
    for x, y in lines:
        finite = np.isfinite(y)
        x, y = x[finite], y[finite]
        done = np.abs(y - y[0]) >= 0.5 * abs(y[-1] - y[0])
        halves.append(float(x[np.argmax(done)]))
    return float(np.median(halves)) < EARLY


def _limit(axes: "Axes", shown: Sequence["Floats"], logarithmic: bool, is_loss: bool) -> None:
    """Leave what lies far above the start outside: a curve that diverges would flatten all others."""
    finite = np.concatenate([values[np.isfinite(values)] for values in shown])
    low, high = float(finite.min()), float(finite.max())
    if not is_loss or high <= low:
        return
    if logarithmic:
        axes.set_ylim(low / (high / low) ** 0.05, high * (high / low) ** 0.05)
    else:
        axes.set_ylim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def _end_marks(axes: "Axes", lines: Mapping[int, tuple["Floats", "Floats"]]) -> None:
    """A dot where each curve ends, which shows who was cut short."""
    for i, (x, y) in lines.items():
        last = int(np.flatnonzero(np.isfinite(y))[-1])
        axes.plot(x[last], y[last], "o", color=_colour(i))


def rate_figure(methods: Sequence[Mapping[str, Any]]) -> Drawing | None:
    """Return the loss at the end of each trial against the rate, all methods."""
    tried = {i: m for i, m in enumerate(methods) if sum(t["loss"] is not None for t in m["trials"]) > 1}
    if not tried:
        return None
    columns = {i: (_column(m["trials"], "lr"), _column(m["trials"], "loss")) for i, m in tried.items()}

    def paint(figure: "Figure") -> None:
        axes = figure.add_subplot()
        for i, (rates, losses) in columns.items():
            axes.plot(rates, losses, color=_colour(i), linestyle=_dash(i), marker="o")
            chosen = np.flatnonzero(rates == tried[i]["lr"])
            axes.plot(rates[chosen], losses[chosen], "o", color=_colour(i), markersize=9, fillstyle="none")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate")
        everything = np.concatenate([losses[np.isfinite(losses)] for _, losses in columns.values()])
        low, high = float(everything.min()), float(np.median(everything))
        top = min(float(everything.max()), low + 3 * (high - low)) if high > low else float(everything.max())
        if top > low:
            axes.set_ylim(low - 0.06 * (top - low), top + 0.06 * (top - low))
        scale_axis(axes, False)
        plain_ticks(axes, y=False)

    legend = tuple((_variable(i), m["name"]) for i, m in tried.items())
    return Drawing(
        "Loss at the end of each trial", draw("race-rates", paint), legend, "The ring marks the rate that was taken."
    )


def command(race: Mapping[str, Any]) -> str:
    """Return the command line that races again; "" where there was none."""
    if not race.get("source"):
        return ""
    names = ",".join(m["name"] for m in race["methods"])
    length = f"--steps {race['steps_each']}" if race["steps_each"] else f"--budget {race['budget_seconds']:g}s"
    recipe = f" --recipe {shlex.quote(race['race'])}/recipe.toml" if race["race"] else ""
    return f"trainwell race {shlex.quote(race['source'])} --methods {names} {length}{recipe}"


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> "Floats":
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=np.float64)


def _colour(i: int) -> str:
    return LINES[i % len(LINES)]


def _variable(i: int) -> str:
    return VARIABLES[_colour(i)]


def _dash(i: int) -> Any:
    return DASHES[i // len(LINES) % len(DASHES)]
