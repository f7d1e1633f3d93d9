"""Which epoch was best, and whether to stop waiting for a better one."""

import math
from dataclasses import dataclass
from typing import Any

from trainwell.training.scores import HIGHER_IS_BETTER


@dataclass
class Best:
    """The best epoch so far by a validation score.

    ``auto`` takes accuracy for classification with at least ``ENOUGH`` validation samples (equal accuracies are told
    apart
    by the loss), otherwise the loss, which is less coarse on few samples; ``last`` keeps the last epoch.

    Args:
        monitor: a score's name, ``auto`` or ``last``.
        patience: epochs without a better score before :attr:`out_of_patience`; 0 never.
        samples: number of validation samples, for ``auto``.
    """

    ENOUGH = 1000

    monitor: str = "auto"
    patience: int = 0
    samples: int = 0
    epoch: int | None = None
    key: tuple[float, float] | None = None
    waited: int = 0

    def offer(self, epoch: int, scores: dict[str, float]) -> bool:
        """Is this epoch the best so far? Scores that are not finite never are."""
        key = self._key(epoch, scores)
        better = all(map(math.isfinite, key)) and (self.key is None or key > self.key)
        if better:
            self.epoch, self.key, self.waited = epoch, key, 0
        else:
            self.waited += 1
        return better

    def decided_by(self, scores: dict[str, float]) -> str:
        """Name of the score that decides, "" where the last epoch is kept."""
        if self.monitor == "last" or not scores:
            return ""
        if self.monitor != "auto":
            return self.monitor
        return "accuracy" if "accuracy" in scores and self.samples >= self.ENOUGH else "loss"

    def _key(self, epoch: int, scores: dict[str, float]) -> tuple[float, float]:
        name = self.decided_by(scores)
        if not name:
            return (float(epoch), 0.0)
        value = scores[name]
        return (value if name in HIGHER_IS_BETTER else -value, -scores["loss"])

    @property
    def out_of_patience(self) -> bool:
        """Have ``patience`` epochs passed without a better one?"""
        return self.patience > 0 and self.waited >= self.patience

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {"epoch": self.epoch, "key": list(self.key) if self.key else None, "waited": self.waited}

    def load(self, state: dict[str, Any]) -> None:
        """From the checkpoint."""
        self.epoch, self.waited = state["epoch"], state["waited"]
        self.key = (state["key"][0], state["key"][1]) if state["key"] else None
