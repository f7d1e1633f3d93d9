"""Fill the report's plain results from a run and its data, and write the page."""

import json
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trainwell import nn, report
from trainwell.data import Dataset
from trainwell.training.assess import Assessment
from trainwell.training.describe import example_of
from trainwell.training.memory import peak_bytes
from trainwell.training.metrics import calibration_bins
from trainwell.training.rate import RateSearch
from trainwell.training.restore import read_lines
from trainwell.training.run import Run

EXAMPLES = 24
MISTAKES = 24
POINTS = 2000  # of a scatter plot
STEPS = 1000  # of a curve
CELLS = 6  # of a table's row that was answered wrongly


def write_report(
    run: Run,
    dataset: Dataset,
    found: Mapping[str, Assessment],
    *,
    stages: Mapping[str, float] | None = None,
    search: RateSearch | None = None,
) -> Path:
    """Write ``report.html`` into the run's folder and return its path; ``found`` is what :func:`assess` gave."""
    assert run.folder is not None  # runs of jobs have one
    path = run.folder / "report.html"
    report.write(results(run, dataset, found, stages or {}, search), path)
    return path


def results(
    run: Run,
    dataset: Dataset,
    found: Mapping[str, Assessment],
    stages: Mapping[str, float],
    search: RateSearch | None,
) -> report.Results:
    """Everything the report shows."""
    name = next((part for part in ("test", "val", "train") if part in found), "train")
    shown = found[name]
    chain = nn.trace(run.model, example_of(run.schema))
    lines = run.journal_lines
    steps = [line for line in lines if line["event"] == "step"]
    timing = (
        [line for line in read_lines(run.folder / "timing.jsonl") if line["event"] == "epoch"] if run.folder else []
    )
    training_seconds = sum(line["seconds"] for line in timing)
    rates = [line["samples_per_second"] for line in timing]
    return report.Results(
        title=run.folder.name if run.folder else "run",
        asked=asked(run, dataset),
        task=run.task,
        folder=str(run.folder),
        created=time.strftime("%Y-%m-%d %H:%M"),
        notes=tuple(run.notes),
        recipe_toml=run.recipe.to_toml(),
        environment=_environment(run),
        data=_glance(dataset),
        exam=_exam(run),
        layers=tuple(
            report.LayerRow(x.path, x.kind, x.name, x.input_shape, x.output_shape, x.parameters, x.detail)
            for x in chain.layers
        ),
        incomplete=chain.incomplete,
        parameters=sum(p.numel() for p in run.model.parameters()),
        epochs=tuple(run.history),
        steps=tuple(_numbers(line) for line in steps[:: max(1, len(steps) // STEPS)]),
        best_epoch=run.best_epoch,
        monitor=_monitor(run),
        metrics=run.metrics or {part: a.metrics for part, a in found.items()},
        classes=dataset.classes if run.task != "regression" else (),
        stages=tuple({"training": training_seconds, **stages}.items()),
        picks=_picks(run),
        rate_search=report.RateCurve(np.array(search.rates), np.array(search.losses), search.suggestion)
        if search
        else None,
        peak_bytes=peak_bytes(),
        seconds=training_seconds + sum(stages.values()),
        samples_per_second=float(np.median(rates)) if rates else None,
        commands=_commands(run),
        **_by_task(run, dataset, shown, name),
    )


def asked(run: Run, dataset: Dataset) -> str:
    """What was asked, in plain words."""
    target = dataset.schema.target
    thing = {"image": "a picture", "table": "a row", "sequence": "a sequence"}.get(dataset.kind, "a sample")
    if run.task == "regression":
        return f"Predict {target} of {thing} of {dataset.name}"
    if run.task == "multilabel":
        return f"Tell which of {len(dataset.classes)} labels {thing} of {dataset.name} has"
    if run.task == "binary":
        return f"Tell whether {target} is {dataset.classes[0]} or {dataset.classes[1]} for {thing} of {dataset.name}"
    return f"Tell which of {len(dataset.classes)} classes {thing} of {dataset.name} shows"


def _by_task(run: Run, dataset: Dataset, shown: Assessment, part: str) -> dict[str, Any]:
    truth, predicted = shown.truth, shown.predicted
    if run.task == "regression":
        return _regression(dataset, shown, part)
    if run.task == "multilabel":
        return {"threshold": run.threshold}
    codes = (predicted[:, 1] >= run.threshold).astype(int) if run.task == "binary" else predicted.argmax(1)
    confusion = np.zeros((len(dataset.classes),) * 2, dtype=int)
    np.add.at(confusion, (truth, codes), 1)
    confidence = predicted.max(1)
    bins = calibration_bins(confidence, predicted.argmax(1) == truth, 10)
    answer: dict[str, Any] = {
        "confusion": confusion,
        "calibration": tuple(report.CalibrationBin(*values) for values in bins),
        "mistakes": _mistakes(dataset, shown, codes),
    }
    if run.task == "binary":
        answer["threshold"] = run.threshold
        if len(np.unique(truth)) == 2:
            from sklearn.metrics import auc, roc_curve

            false, true, _ = roc_curve(truth, predicted[:, 1])
            answer["roc"] = report.Roc(false, true, float(auc(false, true)))
    return answer


def _mistakes(dataset: Dataset, shown: Assessment, codes: np.ndarray) -> tuple[report.Mistake, ...]:
    wrong = np.flatnonzero(codes != shown.truth)
    chance = shown.predicted[wrong, codes[wrong]]
    chosen = wrong[np.argsort(-chance, kind="stable")[:MISTAKES]]
    return tuple(
        report.Mistake(
            truth=dataset.classes[shown.truth[i]],
            predicted=dataset.classes[codes[i]],
            probability=float(shown.predicted[i, codes[i]]),
            truth_probability=float(shown.predicted[i, shown.truth[i]]),
            name=str(dataset.ids[shown.rows[i]]),
            image=_picture(dataset, shown.rows[i]),
            cells=_cells(dataset, shown.rows[i]),
        )
        for i in chosen
    )


def _regression(dataset: Dataset, shown: Assessment, part: str) -> dict[str, Any]:
    truth = shown.truth.reshape(len(shown.truth), -1)
    predicted = shown.predicted.reshape(truth.shape)
    few = np.random.default_rng(0).permutation(len(truth))[:POINTS]
    targets = dataset.schema.target.split(",") if truth.shape[1] > 1 else [dataset.schema.target]
    names = (
        targets if len(targets) == truth.shape[1] else [f"{dataset.schema.target} {i}" for i in range(truth.shape[1])]
    )
    worst = np.argsort(-np.abs(predicted - truth).max(1))[:10]
    return {
        "residuals": tuple(report.Residuals(truth[few, i], predicted[few, i], n, part) for i, n in enumerate(names)),
        "mistakes": tuple(
            report.Mistake(
                truth=_joined(truth[i]),
                predicted=_joined(predicted[i]),
                name=str(dataset.ids[shown.rows[i]]),
                image=_picture(dataset, shown.rows[i]),
                cells=_cells(dataset, shown.rows[i]),
            )
            for i in worst
        ),
    }


def _joined(values: np.ndarray) -> str:
    return ", ".join(f"{v:.4g}" for v in values)


def _picture(dataset: Dataset, row: int) -> np.ndarray | None:
    return np.asarray(dataset.X[row]) if dataset.kind == "image" and not isinstance(dataset.X, dict) else None


def _cells(dataset: Dataset, row: int) -> dict[str, str]:
    if not isinstance(dataset.X, dict):
        return {}
    numbers = zip(dataset.schema.numbers(), dataset.X["numbers"][row], strict=True)
    cells = {column.name: "missing" if np.isnan(value) else f"{value:.4g}" for column, value in numbers}
    for column, code in zip(dataset.schema.categories(), dataset.X["categories"][row], strict=True):
        cells[column.name] = column.categories[code] if code >= 0 else "missing or unknown"
    return dict(list(cells.items())[:CELLS])


def _glance(dataset: Dataset) -> report.DataGlance:
    splits, y = dataset.splits, dataset.y
    parts = {
        name: rows for name, rows in (("train", splits.train), ("val", splits.val), ("test", splits.test)) if len(rows)
    }
    counts, values = {}, None
    if dataset.task in ("classification", "binary"):
        size = len(dataset.classes)
        counts = {name: tuple(np.bincount(y[rows], minlength=size).tolist()) for name, rows in parts.items()}
    elif dataset.task == "multilabel":
        counts = {name: tuple(int(c) for c in y[rows].sum(0)) for name, rows in parts.items()}
    else:
        flat = y.reshape(len(y), -1)[:, 0]
        values = np.asarray(np.random.default_rng(0).permutation(flat)[:POINTS], dtype=np.float64)
    examples = ()
    if dataset.kind == "image":
        chosen = np.random.default_rng(0).choice(splits.train, min(EXAMPLES, len(splits.train)), replace=False)
        examples = tuple(report.Example(_picture(dataset, i), _label(dataset, i), str(dataset.ids[i])) for i in chosen)
    return report.DataGlance(
        name=dataset.name,
        kind=dataset.kind,
        source=dict(dataset.provenance),
        samples={name: len(rows) for name, rows in parts.items()},
        class_counts=counts,
        columns=tuple(
            report.ColumnRow(c.name, c.kind, c.used, c.why, c.missing, c.distinct, c.summary)
            for c in dataset.schema.columns
        ),
        examples=examples,
        target_values=values,
        target=dataset.schema.target,
        notes=dataset.notes,
    )


def _label(dataset: Dataset, row: int) -> str:
    if dataset.task in ("classification", "binary"):
        return dataset.classes[int(dataset.y[row])]
    return _joined(np.atleast_1d(dataset.y[row]))


def _numbers(line: dict[str, Any]) -> dict[str, float]:
    return {k: float("nan") if v is None else v for k, v in line.items() if k != "event"}


def _monitor(run: Run) -> str:
    wanted = run.recipe.training.monitor
    return run.monitored if wanted == "auto" else "" if wanted == "last" else f"val_{wanted}"


def _picks(run: Run) -> tuple[report.Pick, ...]:
    recipe = run.recipe
    layout = ", channels_last" if recipe.precision.channels_last is True else ""
    precision = f"{recipe.precision.dtype}{layout}, {recipe.precision.threads} threads"
    rate = report.Pick("learning rate", f"{recipe.optimizer.lr:g}", recipe.picked.get("lr", "given in the recipe"))
    return (
        report.Pick("arithmetic", precision, recipe.picked.get("precision", "given, or too short a run to measure")),
        rate,
    )


def _environment(run: Run) -> dict[str, str]:
    path = run.folder / "environment.json" if run.folder else None
    if path is None or not path.is_file():
        return {}
    content = json.loads(path.read_text(encoding="utf-8"))
    plain = {k: str(v) for k, v in content.items() if isinstance(v, str | int) and k != "format"}
    return {**plain, **content.get("packages", {})}


def _exam(run: Run) -> report.ExamGlance | None:
    """What the exam before the training left in the run's folder."""
    path = run.folder / "exam.json" if run.folder else None
    if path is None or not path.is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    found = [finding for finding in told["findings"] if finding["severity"] != "info"]
    return report.ExamGlance(
        said=tuple((f["code"], f["severity"], said) for f, said in zip(found, told["said"], strict=True)),
        applied={name: str(value) for name, value in told["applied"].items()},
        cost=f"{told['cost']['passes']:.0f} passes of one batch, {told['cost']['seconds']:.1f} s.",
    )


def _commands(run: Run) -> tuple[tuple[str, str], ...]:
    folder = shlex.quote(str(run.folder))
    return (
        ("train again, exactly so", f"trainwell train --recipe {folder}/recipe.toml -o {folder}-again"),
        ("evaluate", f"trainwell evaluate {folder}"),
        ("predict", f"trainwell predict {folder} NEW_DATA -o answers.csv"),
        ("export", f"trainwell export {folder} model.onnx"),
        ("resume, if it was stopped", f"trainwell resume {folder}"),
    )
