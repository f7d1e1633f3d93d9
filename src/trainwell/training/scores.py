"""Scores of one pass over data, summed up batch by batch: the loss, and accuracy or R² by task."""

from typing import Any

import torch
from torch import Tensor

from trainwell.training.predictions import class_codes, head, probabilities

HIGHER_IS_BETTER = frozenset({"accuracy", "balanced_accuracy", "r2", "f1", "auroc"})


def names(task: str) -> tuple[str, ...]:
    """The scores that a pass over data of this task may give."""
    return ("loss", "rmse", "r2") if task in ("regression", "reconstruction") else ("loss", "accuracy")


class Scores:
    """Running sums of a pass; sums of counts and float64, so that they do not depend on the batch size.

    Args:
        task: of the program.
        loss: of the program, to read its outputs.
        threshold: probability from which a binary answer is yes.
    """

    def __init__(self, task: str, loss: Any, threshold: float = 0.5) -> None:
        self.task, self.loss, self.threshold = task, loss, threshold
        self.loss_sum, self.samples = 0.0, 0.0
        self.right, self.asked = 0, 0
        self._sums: Tensor | None = None  # rows: Σ y, Σ y², Σ (ŷ − y)² by column

    def add(self, output: Any, target: Any, loss: Tensor, samples: float) -> None:
        """Count one batch; ``loss`` is its mean."""
        self.loss_sum += float(loss) * samples if samples else 0.0
        self.samples += samples
        if not isinstance(target, Tensor):
            return
        output = head(output).detach().float()
        if self.task in ("regression", "reconstruction"):
            self._add_squares(output, target)
        else:
            self._add_hits(output, target)

    def _add_squares(self, output: Tensor, target: Tensor) -> None:
        if output.numel() != target.numel():
            return
        y = target.double().reshape(len(target), -1)
        error = (output.double().reshape(len(target), -1) - y).square()
        sums = torch.stack([y.sum(0), y.square().sum(0), error.sum(0)]).cpu()
        self._sums = sums if self._sums is None else self._sums + sums
        self.asked += len(target)

    def _add_hits(self, output: Tensor, target: Tensor) -> None:
        p = probabilities(output, self.loss, self.task)
        if self.task == "multilabel":
            hits = (p > self.threshold) == (target > 0.5)
        elif self.task == "binary":
            hits = (p[:, 1] >= self.threshold).long() == class_codes(target, self.task)
        else:
            codes = class_codes(target, self.task)
            hits = p.argmax(1).reshape(codes.shape) == codes
        self.right += int(hits.sum())
        self.asked += hits.numel()

    def result(self) -> dict[str, float]:
        """``loss`` and, by task, ``accuracy`` or ``rmse`` and ``r2`` (mean over the columns that vary)."""
        scores = {"loss": self.loss_sum / max(self.samples, 1e-12)}
        if self._sums is not None:
            total, squares, errors = self._sums
            spread = squares - total.square() / self.asked
            varies = spread > 1e-12 * squares.clamp_min(1e-300)
            scores["rmse"] = float((errors.sum() / (self.asked * len(errors))).sqrt())
            if bool(varies.any()):
                scores["r2"] = float((1 - errors[varies] / spread[varies]).mean())
        elif self.asked:
            scores["accuracy"] = self.right / self.asked
        return scores
