"""A finished run: its model, history and metrics; read back from its folder by :func:`load`."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from trainwell.training.batches import moved
from trainwell.training.evaluation import outputs
from trainwell.training.predictions import probabilities

ROWS_AT_ONCE = 256


@dataclass
class Run:
    """What training left behind.

    Attributes:
        model: with the weights of the best epoch, in evaluation mode.
        task: of the program.
        folder: run folder, None for a run in memory.
        metrics: final metrics by part (train, val, test).
        history: one row an epoch: epoch, step, train_loss, val_…, lr.
        best_epoch: whose weights the model has.
        seconds: of training, over all resumes.
        notes: the sentences that were said.
        schema: how raw input becomes tensors (runs from data), else None.
    """

    model: nn.Module
    task: str
    folder: Path | None = None
    metrics: dict[str, dict[str, float]] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_epoch: int | None = None
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    loss: Any = None
    threshold: float = 0.5
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    schema: Any = None
    recipe: Any = None
    journal_lines: list[dict[str, Any]] = field(default_factory=list, repr=False)
    monitored: str = ""  # the name in history that decided which epoch is best

    def outputs(self, X: Any, progress: Any = None) -> torch.Tensor:
        """The model's outputs in float32; X as in training (tensors) or raw where the run knows its schema."""
        if self.schema is not None:
            X = self.schema.encode(X)
        self.model.to(self.device)
        return outputs(
            self.model, moved(X, torch.device("cpu")), batch_size=ROWS_AT_ONCE, device=self.device, progress=progress
        )

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities, shape (n, classes), or (n, labels) for multilabel.

        Raises:
            ValueError: for a regression, which has none.
        """
        if self.task in ("regression", "reconstruction"):
            raise ValueError(f"predict_proba: the task is {self.task}, which has no probabilities. Use predict.")
        return probabilities(self.outputs(X), self.loss, self.task).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Class names (class codes where there are no names), labels 0/1 for multilabel, or values for regression.

        Args:
            X: rows as they were trained on: tensors or arrays; with a schema also raw rows (a dict of columns, a
            list of
                dict rows, a pyarrow table, pictures).
        """
        if self.task in ("regression", "reconstruction"):
            values = self.outputs(X).numpy()
            return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
        return self.answers(self.predict_proba(X))

    def answers(self, probability: np.ndarray) -> np.ndarray:
        """The answers for these probabilities, by the run's threshold where the task is binary."""
        if self.task == "multilabel":
            return (probability > self.threshold).astype(np.int64)
        codes = (
            (probability[:, 1] >= self.threshold).astype(np.int64) if self.task == "binary" else probability.argmax(1)
        )
        return self.schema.decode(codes) if self.schema is not None else codes


def load(folder: str | Path, *, weights: str = "best") -> Run:
    """Read a run back from its folder.

    Args:
        folder: of a run that ``train`` made.
        weights: ``best`` (the best epoch's) or ``model`` (the last epoch's).

    Raises:
        InputError: if the folder holds no run, or its files are cut short or were exchanged.
    """
    from trainwell.training.restore import restore_run

    return restore_run(Path(folder), weights)
