"""The targets of a program: codes of classes, one-hot rows, several labels, or numbers; how many, and which."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from trainwell.clinic.subject import Subject

MOST = 4_000_000  # numbers that are looked at
FEWEST_EACH = 3  # samples of a value, on average, from which on values may be classes
IGNORED = -100  # torch's losses of classes pass over this code


@dataclass(frozen=True)
class Answers:
    """Targets of all samples that are looked at, training and validation apart.

    Attributes:
        y: of the training part, (N, …).
        val: of the validation part, or None.
        task: of the program, as given or guessed.
        given: whether the task was given.
    """

    y: Tensor
    val: Tensor | None
    task: str
    given: bool

    @property
    def single(self) -> bool:
        """One number a sample."""
        return self.y.dim() == 1 or (self.y.dim() == 2 and self.y.shape[1] == 1)

    @cached_property
    def integral(self) -> bool:
        """Whole numbers only."""
        return not self.y.is_floating_point() or bool((self.y == self.y.round()).all())

    @cached_property
    def values(self) -> Tensor:
        """The different values of both parts, ascending, without the code that losses ignore."""
        both = self.y.flatten() if self.val is None else torch.cat([self.y.flatten(), self.val.flatten().to(self.y)])
        both = both[:: 1 + len(both) // MOST]
        found = both[torch.isfinite(both)] if both.is_floating_point() else both
        found = found.unique()
        return found if self.y.is_floating_point() else found[found != IGNORED]

    @property
    def labels(self) -> bool:
        """Do the values look like classes: few whole numbers, each seen several times?"""
        return self.integral and len(self.values) * FEWEST_EACH <= max(self.y.numel(), 6)

    @cached_property
    def onehot(self) -> bool:
        """Rows of zeros with a single one."""
        y = self.y
        if y.dim() != 2 or y.shape[1] < 2 or not self.integral or len(self.values) > 2:
            return False
        return bool(((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all())

    @cached_property
    def multihot(self) -> bool:
        """Rows of zeros and ones with none or several ones in some."""
        y = self.y
        if y.dim() != 2 or y.shape[1] < 2 or not bool(((y == 0) | (y == 1)).all()):
            return False
        return bool((y.sum(1) != 1).any())

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.y.shape[1] if self.onehot else len(self.values)

    def codes(self) -> Tensor | None:
        """Classes as 0, 1, 2, … of the training samples, (N,); None where the targets are no classes."""
        if self.onehot:
            return self.y.argmax(1)
        if self.single and self.labels:
            return torch.searchsorted(self.values, self.y.flatten().contiguous())
        return None


def answers_of(subject: Subject) -> Answers:
    """The program's targets."""
    val = subject.val.y if subject.val is not None and isinstance(subject.val.y, Tensor) else None
    return Answers(subject.train.y, val, subject.task, subject.program.task is not None)
