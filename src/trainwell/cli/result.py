"""The end of a run on the screen: its metrics by part, where it is, and what to do next."""

from collections.abc import Mapping
from json import loads
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trainwell.cli import output

if TYPE_CHECKING:
    from trainwell.training import Run

PARTS = ("train", "val", "test")
MOST_FOLDS = 5  # that are shown one by one


def put_run(run: "Run", json: bool) -> None:
    """Print a finished run."""
    if json:
        output.put_json(
            {
                "run": run.folder,
                "task": run.task,
                "metrics": {part: dict(run.metrics.get(part, {})) for part in PARTS},
                "seconds": run.seconds,
                "best_epoch": run.best_epoch,
                "exam": _exam(run.folder),
            }
        )
        return
    took = [] if run.seconds is None else [f"{output.span(run.seconds)} of training"]
    took += [f"best epoch {run.best_epoch}"] if run.best_epoch else []
    output.put(*metrics_lines(run.metrics))
    if run.folder is None:
        return
    folder = output.quoted(run.folder)
    report = Path(run.folder) / "report.html"
    output.put(
        "",
        "   ".join([f"Run      {run.folder}", *([f"({', '.join(took)})"] if took else [])]),
        *([f"Report   {report}"] if report.exists() else []),
        f"Next     trainwell predict {folder} INPUT -o out.csv",
        f"         trainwell evaluate {folder} DATA",
        f"         trainwell export {folder} model.onnx",
    )


def _exam(folder: "Path | None") -> Any:
    """What the exam before the training found; None where there was none."""
    file = Path(folder) / "exam.json" if folder is not None else None
    return loads(file.read_text(encoding="utf-8")) if file is not None and file.is_file() else None


def metrics_lines(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A table: one row a metric, one column a part of the data."""
    parts = [part for part in (*PARTS, *(p for p in metrics if p not in PARTS)) if metrics.get(part)]
    names = list(dict.fromkeys(name for part in parts for name in metrics[part]))
    rows = [["", *parts]]
    for name in names:
        values = [metrics[part].get(name) for part in parts]
        if all(value is None or isinstance(value, int | float) for value in values):
            rows.append([name.replace("_", " "), *map(output.number, values)])
    return output.columns(rows) if names else ["There is nothing to measure: the data have no target."]


def crossed_lines(crossed: Mapping[str, Any]) -> list[str]:
    """The result of a cross-validation: mean and standard deviation over the folds, and each fold."""
    folds, mean, spread = crossed["folds"], crossed["metrics"]["test"], crossed["spread"]["test"]
    shown = folds[:MOST_FOLDS] if len(folds) <= MOST_FOLDS else []
    rows = [["", "mean", "± std", *(f"fold {i}" for i in range(1, len(shown) + 1))]]
    for name, value in mean.items():
        each = [output.number(fold["test"].get(name)) for fold in shown]
        rows.append([name.replace("_", " "), output.number(value), output.number(spread.get(name), 2), *each])
    return [*output.columns(rows), "", f"Runs     {crossed['run']}   ({output.span(crossed['seconds'])})"]
