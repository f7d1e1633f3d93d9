"""The lookout: reads the losses every now and then, and finds the step at which something went wrong.

Reading a loss waits for the device, so the steps in between only collect them. All that is collected is part of a
checkpoint, so that a resumed run reads the same sums.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

EXPLODED = 1e6  # a loss this many times the first one will not come back: such weights are not worth keeping


@dataclass(frozen=True)
class Trouble:
    """What is not finite (or has exploded): "loss" or "gradient", its value, and how many steps ago it was."""

    what: str
    value: float
    steps_ago: int


class Lookout:
    """Losses since the last look, and their sum over the epoch."""

    def __init__(self) -> None:
        self._losses: list[Tensor] = []
        self._sizes: list[int] = []
        self._sum, self._count = 0.0, 0
        self._first: float | None = None
        self._norm: Tensor | None = None

    def collect(self, loss: Tensor, size: int, norm: Tensor | None) -> None:
        """Keep a step's loss (detached), the samples of its batch and, where it was measured, the gradient's norm."""
        self._losses.append(loss)
        self._sizes.append(size)
        if norm is not None:
            self._norm = norm

    @property
    def empty(self) -> bool:
        """Was nothing collected since the last look?"""
        return not self._losses

    @property
    def norm(self) -> float | None:
        """The gradient's norm when it was measured last."""
        return None if self._norm is None else float(self._norm)

    def trouble(self, weights_finite: bool = True) -> Trouble | None:
        """The first step since the last look whose loss or gradient is not finite, if there is one.

        Args:
            weights_finite: False where the weights are not: as the next look would find, were there one.
        """
        losses = torch.stack(self._losses).double().tolist() if self._losses else []
        limit = EXPLODED * max(1.0, abs(self._first)) if self._first is not None else math.inf
        for i, loss in enumerate(losses):
            if not math.isfinite(loss) or abs(loss) > limit:
                return Trouble("loss", loss, len(losses) - 1 - i)
        if losses and self.norm is not None and not math.isfinite(self.norm):
            return Trouble("gradient", self.norm, 0)
        if losses and not weights_finite:
            return Trouble("loss", math.inf, 0)
        if self._first is None and losses:
            self._first = losses[0]
        return None

    def take(self) -> float:
        """The mean loss since the last look, over steps; it is added to the epoch's sum, over samples."""
        losses = torch.stack(self._losses).double().tolist() if self._losses else []
        self._sum += sum(loss * n for loss, n in zip(losses, self._sizes, strict=True))
        self._count += sum(self._sizes)
        self._losses, self._sizes = [], []
        return sum(losses) / max(1, len(losses))

    def close_epoch(self) -> float:
        """The mean loss of the epoch over its samples; the next epoch begins."""
        mean = self._sum / max(1, self._count)
        self._sum, self._count = 0.0, 0
        return mean

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "losses": torch.stack(self._losses) if self._losses else None,
            "sizes": list(self._sizes),
            "sum": self._sum,
            "count": self._count,
            "first": self._first,
            "norm": self._norm,
        }

    def load(self, state: dict[str, Any], device: torch.device) -> None:
        """From the checkpoint."""
        self._losses = list(state["losses"].to(device).unbind()) if state["losses"] is not None else []
        self._sizes, self._sum, self._count = list(state["sizes"]), state["sum"], state["count"]
        self._first, self._norm = state["first"], state["norm"]
