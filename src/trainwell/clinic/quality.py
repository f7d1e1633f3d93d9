"""How good a model's answers are, as one number in 0 … 1 that a change of the loss or of its scale does not move.

Accuracy for classes, the mean recall of both classes for binary targets, accuracy over labels for multilabel, and
max(0, 1 − Σ(ŷ−y)²/Σ(y−ȳ)²) for regression and reconstruction. Deliberately that of a program's *answers*: an output
within [0, 1] is read as a probability, any other as a logit.
"""

from typing import Any

import torch
from torch import Tensor


def first_tensor(output: Any) -> Tensor:
    """The prediction of a model that may return several things."""
    while not isinstance(output, Tensor):
        output = next(iter(output.values())) if isinstance(output, dict) else output[0]
    return output


def codes(y: Tensor) -> Tensor:
    """Classes as integers from codes, a column of them, or one-hot rows."""
    if y.dim() >= 2 and y.shape[-1] > 1 and y.is_floating_point():
        return y.argmax(-1)
    return y.flatten() if y.dim() == 2 and y.shape[1] == 1 else y


def quality(output: Tensor, y: Tensor, task: str) -> float:
    """The score; 0 where an output is not finite or does not answer the question.

    Args:
        output: of the model, first axis the samples.
        y: targets of these samples.
        task: one of ``training.program.TASKS``.
    """
    output = output.detach()
    if not bool(torch.isfinite(output).all()):
        return 0.0
    if task in ("regression", "reconstruction"):
        return _explained(output, y)
    if task == "multilabel":
        return float(((output > _cut(output)) == (y > 0.5)).double().mean()) if output.shape == y.shape else 0.0
    classes = codes(y)
    if output.dim() >= 2 and output.shape[1] > 1:
        guess = output.argmax(1)
        return float((guess == classes).double().mean()) if guess.shape == classes.shape else 0.0
    if task == "binary":
        truth, guess = classes.flatten().double(), (output > _cut(output)).flatten()
        truth = truth > (truth.min() + truth.max()) / 2
        if len(truth) != len(guess):
            return 0.0
        hits = (guess == truth).double()
        return float(torch.stack([hits[truth == side].mean() for side in truth.unique()]).mean())
    guess = output.flatten().round()
    return float((guess == classes.flatten()).double().mean()) if len(guess) == classes.numel() else 0.0


def _cut(output: Tensor) -> float:
    return 0.5 if bool((output >= 0).all() and (output <= 1).all()) else 0.0


def _explained(output: Tensor, y: Tensor) -> float:
    if output.numel() != y.numel():
        return 0.0
    output, y = output.reshape(len(y), -1).double(), y.reshape(len(y), -1).double()
    spread = (y - y.mean(0)).square().sum()
    return max(0.0, 1.0 - float((output - y).square().sum() / spread.clamp(min=1e-30)))
