"""Assess a run: predictions and final metrics of each part of its data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from trainwell.data import Dataset
from trainwell.errors import InputError
from trainwell.training.build import part
from trainwell.training.evaluation import outputs
from trainwell.training.metrics import (
    best_threshold,
    classification_metrics,
    multilabel_metrics,
    own_metric,
    regression_metrics,
)
from trainwell.training.predictions import probabilities
from trainwell.training.run import ROWS_AT_ONCE, Run
from trainwell.training.state import Teller
from trainwell.training.userfile import load_function

MOST_TRAINING_ROWS = 10_000  # of the training part: enough for a metric to a few thousandths


@dataclass(frozen=True)
class Assessment:
    """Truth, predictions and metrics of one part.

    Attributes:
        rows: their indices in the data set, shape (n,).
        truth: class codes, labels or values.
        predicted: probabilities (n, classes) or values.
        metrics: by name.
    """

    rows: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    metrics: dict[str, float]


def assess(run: Run, dataset: Dataset, teller: Teller) -> dict[str, Assessment]:
    """Every part that has samples; the threshold of a binary task is found on the validation part if it is ``auto``."""
    splits, results = dataset.splits, {}
    train = splits.train
    if len(train) > MOST_TRAINING_ROWS:
        seed = run.recipe.training.seed if run.recipe else 0
        train = np.sort(np.random.default_rng(seed).choice(train, MOST_TRAINING_ROWS, replace=False))
    _set_threshold(run, dataset, teller)
    for name, rows in (("train", train), ("val", splits.val), ("test", splits.test)):
        if len(rows):
            x, y, *_ = part(dataset, rows)
            found = assess_rows(run, x, y, teller, name)
            results[name] = Assessment(rows, found.truth, found.predicted, found.metrics)
    return results


def assess_rows(run: Run, x: Any, y: np.ndarray, teller: Teller, name: str) -> Assessment:
    """Predictions and metrics for encoded rows; those without an answer (code −1, NaN) are left out."""
    known = (y >= 0) if y.dtype.kind == "i" and y.ndim == 1 else np.isfinite(y.reshape(len(y), -1)).all(1)
    if not known.any():
        raise InputError(
            f"None of the {len(y)} rows of the {name} part has an answer that the run knows.",
            "Give rows whose target is filled in with values of the training data.",
        )
    if not known.all():
        x = {k: v[known] for k, v in x.items()} if isinstance(x, dict) else x[known]
        y = y[known]
        teller.say(
            f"{int((~known).sum())} rows of the {name} part have no known answer and are left out of the metrics."
        )
    predicted = predictions(run, x, teller, f"evaluating on the {name} part")
    metrics = metrics_of(run, np.asarray(y), predicted)
    return Assessment(np.flatnonzero(known), np.asarray(y), predicted, metrics)


def predictions(run: Run, x: Any, teller: Teller, text: str) -> np.ndarray:
    """Probabilities or values for encoded inputs, in float32."""
    threads = run.recipe.precision.threads if run.recipe is not None else 0
    before = torch.get_num_threads()
    if isinstance(threads, int) and threads:
        torch.set_num_threads(threads)
    try:
        run.model.to(run.device)
        out = outputs(
            run.model, x, batch_size=ROWS_AT_ONCE, device=run.device, progress=lambda share: teller.stage(text, share)
        )
    finally:
        torch.set_num_threads(before)
    if run.task == "regression":
        return out.numpy()
    return probabilities(out, run.loss, run.task).numpy()


def metrics_of(run: Run, truth: np.ndarray, predicted: np.ndarray) -> dict[str, float]:
    """The metrics of the task, and the user's own."""
    if run.task == "regression":
        metrics = regression_metrics(truth, predicted)
        answers = predicted.reshape(truth.shape)
    elif run.task == "multilabel":
        metrics = multilabel_metrics(truth, predicted, run.threshold)
        answers = (predicted > run.threshold).astype(np.int64)
    else:
        answers = _codes(run, predicted)
        metrics = classification_metrics(truth, predicted, answers)
    if run.recipe is not None and run.recipe.training.metric:
        name = run.recipe.training.metric
        metrics[name.rpartition(":")[2]] = own_metric(load_function(name), truth, answers)
    return metrics


def _codes(run: Run, probability: np.ndarray) -> np.ndarray:
    if run.task == "binary":
        return (probability[:, 1] >= run.threshold).astype(np.int64)
    return np.asarray(probability.argmax(1))


def _set_threshold(run: Run, dataset: Dataset, teller: Teller) -> None:
    wanted = run.recipe.training.threshold if run.recipe is not None else 0.5
    if wanted != "auto":
        run.threshold = float(wanted)
    elif run.task == "binary" and len(dataset.splits.val):
        x, y, *_ = part(dataset, dataset.splits.val)
        run.threshold = best_threshold(y, predictions(run, x, teller, "finding the threshold")[:, 1])
