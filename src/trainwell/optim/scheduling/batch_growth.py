"""Growing batches instead of a falling rate.

The noise of SGD near a minimum has the scale η N / B: a batch k times as large does what a rate k times as small does,
with 1/k of the steps. For a schedule f of the rate and the first batch B₀, at step (or epoch) t:

    B_t = min(round(B₀ / f(t)), largest),    factor on the rate = f(t) · B_t / B₀

so that factor / B_t = f(t) / B₀: the same noise scale at every t, also once the batch can grow no more.
Source: Smith, Kindermans, Ying & Le 2018, "Don't decay the learning rate, increase the batch size", arXiv:1711.00489
(staircase, batch × 5); deck M's staircase.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainwell.optim.scheduling.schedules import check_options, factor, schedule_options


@dataclass(frozen=True)
class BatchGrowth:
    """A pure function of the step: ``growth(t)`` is the batch size, ``growth.rate(t)`` the factor on the rate.

    Attributes:
        name: a schedule of the rate, a key of ``SCHEDULES`` that does not grow.
        steps: steps (or epochs: whatever t counts) of the run.
        batch_size: B₀.
        largest: largest batch; N/10 is the paper's limit (above it, B ≪ N no longer holds).
        end, options: of the schedule.
    """

    name: str
    steps: int
    batch_size: int
    largest: int
    end: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def _factor(self, t: int) -> float:
        return factor(self.name, t, self.steps, warmup=0.0, end=self.end, options=self.options)

    def __call__(self, t: int) -> int:
        """Samples in the batch at step t."""
        wanted = self._factor(t)
        return self.largest if wanted * self.largest <= self.batch_size else round(self.batch_size / wanted)

    def rate(self, t: int) -> float:
        """Factor on the peak rate at step t: 1, up to rounding, until the batch is the largest."""
        return self._factor(t) * self(t) / self.batch_size


def batch_growth(
    name: str,
    steps: int,
    batch_size: int,
    *,
    largest: int,
    end: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> BatchGrowth:
    """Batches that grow as the schedule ``name`` would let the rate fall; see :class:`BatchGrowth`.

    Raises:
        ValueError: for a schedule that is unknown, grows or waits for the loss, or a largest batch below the first.

    Example:
        >>> growth = batch_growth("staircase", 100, 32, largest=1000)
        >>> [(growth(t), round(growth.rate(t), 4)) for t in (0, 50, 75)]
        [(32, 1.0), (320, 1.0), (1000, 0.3125)]
    """
    known = schedule_options(name)
    if name in ("growing", "plateau"):
        raise ValueError(f"batch_growth: {name!r} is no falling function of the step. Take staircase or exponential.")
    check_options(name, known, options or {})
    if not 0 < batch_size <= largest:
        raise ValueError(f"batch_growth: 0 < batch_size={batch_size} ≤ largest={largest} must hold.")
    return BatchGrowth(name, steps, batch_size, largest, end, dict(options or {}))
