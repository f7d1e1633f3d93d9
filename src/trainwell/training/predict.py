"""Answers for new data: a table of the rows' identities, the answers and the probabilities."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trainwell.training.assess import predictions
from trainwell.training.run import Run
from trainwell.training.state import Teller
from trainwell.training.weights import write_text


@dataclass(frozen=True)
class Predictions:
    """Answers for new rows.

    Attributes:
        columns: the identity's name, the target's name and, for classes, ``p(CLASS)`` for each.
        ids: identity of each row.
        answers: class names, or values; shape (n,) or (n, targets).
        probabilities: shape (n, classes), or None for a regression.
    """

    columns: tuple[str, ...]
    ids: list[str]
    answers: np.ndarray
    probabilities: np.ndarray | None

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """One tuple a row, in the order of ``columns``; floats are plain Python floats."""
        answers = self.answers.reshape(len(self.ids), -1).tolist()
        chances = self.probabilities.tolist() if self.probabilities is not None else [()] * len(self.ids)
        for name, answer, chance in zip(self.ids, answers, chances, strict=True):
            yield (name, *answer, *chance)

    def write(self, path: Path) -> None:
        """Write a CSV file atomically; floats have seven digits."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        for row in self.rows():
            writer.writerow([f"{value:.7g}" if isinstance(value, float) else value for value in row])
        write_text(path, text.getvalue())


def predict_file(run: Run, path: str, output: Path | None, teller: Teller) -> Predictions:
    """Read new data as the run's training data were read, and answer; written to ``output`` if given."""
    teller.stage(f"reading {path}")
    rows = run.schema.read(path)
    made = predict_rows(run, rows, teller)
    if output is not None:
        made.write(output)
    return made


def predict_rows(run: Run, rows: Any, teller: Teller) -> Predictions:
    """Answers for encoded rows."""
    predicted = predictions(run, rows.X, teller, "predicting")
    identity = rows.id_names[0] if rows.id_names else "row"
    target = run.schema.target or "prediction"
    names = run.schema.classes
    if run.task == "regression":
        width = predicted.shape[1] if predicted.ndim == 2 else 1
        targets = (target,) if width == 1 else tuple(f"{target}_{i}" for i in range(width))
        return Predictions((identity, *targets), rows.ids, predicted, None)
    answers = run.answers(predicted)
    targets = tuple(names) if run.task == "multilabel" else (target,)
    return Predictions((identity, *targets, *(f"p({name})" for name in names)), rows.ids, answers, predicted)
