"""Test-time augmentation: average a model's answers over several views of its input.

Averaged are probabilities, and the answer is a logit again, so that everything that reads logits still can:

    softmax   log (1/V) Σ_v softmax(z_v)      its softmax is the mean probability
    sigmoid   logit (1/V) Σ_v sigmoid(z_v)    for several yes-or-no labels
    mean      (1/V) Σ_v z_v                   for values (regression)

Probabilities rather than log-probabilities: the mean of probabilities is a mixture, by Jensen's inequality its
cross-entropy is never above the mean of the views' own; the mean of logarithms lets one view veto a class.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.data.augment.moves import reflected
from trainwell.errors import InputError

AVERAGES = ("softmax", "sigmoid", "mean")


@dataclass(frozen=True)
class View:
    """One view of images (N, C, H, W): moved by whole pixels, borders mirrored, then perhaps mirrored left to right.

    Attributes:
        flip: whether to mirror.
        dy, dx: where the picture is taken from, in pixels; less than the sides.
    """

    flip: bool = False
    dy: int = 0
    dx: int = 0

    def __call__(self, images: Tensor) -> Tensor:
        for axis, step in ((2, self.dy), (3, self.dx)):
            if step:
                size = images.shape[axis]
                source = reflected(torch.arange(size, device=images.device) + step, size)
                images = images.index_select(axis, source)
        return images.flip(3) if self.flip else images


def image_views(flip: bool = True, shift: int = 0) -> tuple[View, ...]:
    """The image itself, its four moves by ``shift`` pixels along the axes, and the mirror images of all of these."""
    moves = [(0, 0)] + ([(shift, 0), (-shift, 0), (0, shift), (0, -shift)] if shift else [])
    return tuple(View(mirrored, dy, dx) for mirrored in ((False, True) if flip else (False,)) for dy, dx in moves)


def test_time(
    model: Callable[[Any], Tensor], x: Any, views: Sequence[Callable[[Any], Any]], average: str = "softmax"
) -> Tensor:
    """Average the model's answers over the views of x, one after the other.

    Args:
        model: gives logits or values (N, outputs).
        x: input of any kind that the views take.
        views: at least one, such as ``image_views()``.
        average: ``softmax``, ``sigmoid`` or ``mean``.
    """
    if average not in AVERAGES:
        raise InputError(f"test_time: average={average!r} is not known.", f"Use one of {', '.join(AVERAGES)}.")
    if not views:
        raise InputError("test_time: there are no views.", "Give at least one, such as View().")
    answers = torch.stack([model(view(x)) for view in views])
    if average == "mean":
        return answers.mean(0)
    answers = answers if answers.dtype == torch.float64 else answers.float()
    if average == "softmax":
        return _log_mean(F.log_softmax(answers, -1))
    return _log_mean(F.logsigmoid(answers)) - _log_mean(F.logsigmoid(-answers))


test_time.__test__ = False  # type: ignore[attr-defined]  # its name would make it a test where it is imported


def _log_mean(logarithms: Tensor) -> Tensor:
    return torch.logsumexp(logarithms, 0) - math.log(len(logarithms))


class TestTime(nn.Module):
    """A model that averages over views in evaluation mode; in training mode it is the model itself.

    Args:
        model: gives logits or values.
        views: at least one.
        average: ``softmax``, ``sigmoid`` or ``mean``.
    """

    __test__ = False

    def __init__(self, model: nn.Module, views: Sequence[Callable[[Any], Any]], average: str = "softmax") -> None:
        super().__init__()
        self.model = model
        self.views = tuple(views)
        self.average = average

    def forward(self, x: Any) -> Tensor:
        if self.training:
            return self.model(x)
        return test_time(self.model, x, self.views, self.average)

    def extra_repr(self) -> str:
        return f"{len(self.views)} views, {self.average}"
