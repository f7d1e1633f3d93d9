"""From a model's outputs to probabilities and answers, by the loss that the model was trained with."""

from typing import Any

import torch
from torch import Tensor, nn


def head(output: Any) -> Tensor:
    """The prediction of a model that may return several things."""
    if isinstance(output, dict):
        return next(iter(output.values()))
    return output[0] if isinstance(output, tuple | list) else output


def probabilities(output: Tensor, loss: Any, task: str) -> Tensor:
    """Probabilities of the classes (last dimension), or of "yes" for multilabel; binary gives two columns.

    The loss says what the output is: logits for cross-entropy and BCE-with-logits, log-probabilities for NLL,
    probabilities for BCE; for an unknown loss, non-negative rows that sum to one are probabilities, all else logits.
    """
    inner = getattr(loss, "loss", loss)
    output = output.detach().float()
    if task == "multilabel" or (task == "binary" and (output.dim() == 1 or output.shape[-1] == 1)):
        given = isinstance(inner, nn.BCELoss) or (
            not isinstance(inner, nn.Module) and bool(((output >= 0) & (output <= 1)).all())
        )
        yes = output if given else torch.sigmoid(output)
        return yes if task == "multilabel" else torch.stack([1 - yes.flatten(), yes.flatten()], 1)
    if isinstance(inner, nn.NLLLoss):
        return output.exp()
    if not isinstance(inner, nn.CrossEntropyLoss) and _are_probabilities(output):
        return output
    return torch.softmax(output, 1)


def _are_probabilities(output: Tensor) -> bool:
    return bool((output >= 0).all()) and bool(((output.sum(1) - 1).abs() < 1e-4).all())


def class_codes(target: Tensor, task: str) -> Tensor:
    """Class codes from indices, one-hot or soft rows, or a column of 0 and 1."""
    if task == "classification" and target.dim() == 2 and target.shape[1] > 1 and target.is_floating_point():
        return target.argmax(1)
    return target.flatten().long() if target.dim() <= 2 else target.long()
