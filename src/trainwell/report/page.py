"""The page as a whole: gathers what each section shows, fills the template, writes the file in one piece."""

import base64
import hashlib
import os
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.errors import JobError
from trainwell.report import words
from trainwell.report.results import Mistake, Results

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_MISTAKES = 12
MOST_EPOCHS_LISTED = 400
MOST_IN_ORDER = 20
MOST_LISTED = 500


def write(results: Results, path: str | os.PathLike[str]) -> Path:
    """Write the report of ``results`` to ``path`` in one piece: a reader sees the old page or the new, never a half.

    Raises:
        JobError: if the file cannot be written.
    """
    return write_page(render(results), path)


def write_page(page: str, path: str | os.PathLike[str]) -> Path:
    """Write a rendered page in one piece; see :func:`write`."""
    target = Path(path)
    content = page.encode("utf-8", "replace")
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, target)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise JobError(
            f"The report could not be written to {target}: {error.strerror or error}.",
            "Free some space or name a folder you may write to; everything else of the run is there.",
        ) from error
    return target


def render(results: Results) -> str:
    """Return the page as HTML. Equal results give equal text (with the same versions of matplotlib and Pillow)."""
    return fill("page.html", results.folder, results.created, results=results, **_sections(results))


def fill(template: str, folder: str, created: str, **values: Any) -> str:
    """Return a template within the page's frame: style, script with its policy, footer."""
    from markupsafe import Markup

    style, script = _asset("page.css"), _asset("page.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    frame = {"style": Markup(style), "script": Markup(script), "script_hash": digest}
    return _environment().get_template(template).render(folder=folder, created=created, **frame, **values)


def _sections(results: Results) -> dict[str, Any]:
    """Return what the template shows, a name for each section; empty values leave their section out."""
    from trainwell.report.chain import stretches
    from trainwell.report.curves import curves
    from trainwell.report.evaluation import quality
    from trainwell.report.glance import balance, balance_words, parts, pictures, target_histogram
    from trainwell.report.headline import headline, judged_part, samples_of
    from trainwell.report.scores import class_scores, confusion

    part, rows, scores = judged_part(results), balance(results), class_scores(results)
    worst_first = len(scores) > MOST_IN_ORDER
    return {
        "head": headline(results),
        "part": part,
        "judged_samples": samples_of(results, part),
        "parts": parts(results),
        "balance": rows[:MOST_LISTED],
        "balance_words": balance_words(rows),
        "pictures": pictures(results),
        "target_histogram": target_histogram(results),
        "chain": stretches(results.layers),
        "widest": max((row.parameters for row in results.layers), default=0),
        "curves": curves(results),
        "epoch_names": _epoch_names(results),
        "epochs": results.epochs[-MOST_EPOCHS_LISTED:],
        "metric_names": list(dict.fromkeys(name for measured in results.metrics.values() for name in measured)),
        "confusion": confusion(results),
        "scores": sorted(scores, key=lambda score: score.f1)[:MOST_LISTED] if worst_first else scores,
        "scores_left_out": max(0, len(scores) - MOST_LISTED),
        "columns": results.data.columns[:MOST_LISTED] if results.data is not None else (),
        "worst_first": worst_first,
        "quality": quality(results),
        "mistakes": _mistakes(results.mistakes),
        "stages": _stages(results),
    }


def _epoch_names(results: Results) -> list[str]:
    """Return the columns of the epoch table: the epoch first, then as they come."""
    return (
        list(dict.fromkeys(["epoch", *(name for epoch in results.epochs for name in epoch)])) if results.epochs else []
    )


def _mistakes(mistakes: tuple[Mistake, ...]) -> list[dict[str, Any]]:
    from trainwell.report.glance import thumb

    return [
        {"mistake": m, "thumb": None if m.image is None else thumb(m.image, m.predicted, m.name)}
        for m in mistakes[:MOST_MISTAKES]
    ]


def _stages(results: Results) -> list[tuple[str, float, float]]:
    """Return (name, seconds, share of the whole); what no stage accounts for is "other", if it is over 2 %."""
    stages = [(name, seconds) for name, seconds in results.stages if seconds > 0]
    total = sum(seconds for _, seconds in stages)
    if results.seconds is not None and stages and results.seconds - total > 0.02 * results.seconds:
        stages.append(("other", results.seconds - total))
        total = results.seconds
    return [(name, seconds, seconds / total) for name, seconds in stages]


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath("template", name).read_text(encoding="utf-8")


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    environment = Environment(
        autoescape=True,
        loader=FunctionLoader(_asset),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        count=words.count,
        duration=words.duration,
        label=words.label,
        number=words.number,
        part=words.part,
        percent=words.percent,
        shape=words.shape,
        short=words.short,
    )
    environment.globals["metric"] = words.metric
    return environment
