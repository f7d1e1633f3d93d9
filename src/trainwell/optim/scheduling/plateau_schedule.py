"""Lower the rate when the loss stagnates, with a warm-up, stepped after every batch like any other schedule.

    rate   η_t = η · warm-up(t) · max(end, γ^{reductions})
    observed value v: better than the best by the share ``threshold`` (v < best · (1 − threshold) for best > 0):
        best ← v, bad ← 0;   else bad ← bad + 1;   bad > patience: one more reduction, then ``cooldown`` observations
        that do not count

These are the rules of ``torch.optim.lr_scheduler.ReduceLROnPlateau`` (mode min, relative threshold; for a best value
below 0 progress counts in shares of its size, where torch's asks for a rise). Its ``step(loss)`` wants a number after
every epoch and knows no warm-up; here ``step()`` counts batches and :meth:`PlateauSchedule.observe` takes the value, so
that an engine may call both. With ``every`` > 0 the scheduler observes the mean training loss of every so many batches
by itself: ``step(loss)``, one wait for the device each time.
Source: deck M, "watch the validation error and decrease the LR when it stagnates".
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


class PlateauSchedule(LRScheduler):
    """See the module's text.

    Args:
        optimizer: whose groups' rates are the peak rates.
        rise: steps of the warm-up.
        end: least factor.
        gamma: factor of a reduction, in (0, 1); 0.1 is torch's.
        patience: observations without progress that are borne; torch's 10.
        threshold: least progress, as a share of the best value; torch's 1e-4.
        cooldown: observations after a reduction that do not count.
        every: batches whose mean loss is observed; 0: only what ``observe`` is given (after every epoch).
    """

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        rise: float = 0.0,
        end: float = 0.0,
        gamma: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        cooldown: int = 0,
        every: int = 0,
    ) -> None:
        if not 0 < gamma < 1:
            raise ValueError(f"plateau: gamma={gamma} must lie in (0, 1).")
        self.rise, self.end, self.gamma, self.every = rise, end, gamma, every
        self.patience, self.threshold, self.cooldown = patience, threshold, cooldown
        self.best, self.bad, self.resting, self.reductions = math.inf, 0, 0, 0
        self.total: Tensor | None = None
        self.counted = 0
        super().__init__(optimizer)

    @property
    def takes_loss(self) -> bool:
        """Does :meth:`step` want the loss of the batch?"""
        return self.every > 0

    def get_lr(self) -> list[float | Tensor]:
        """The rates of the groups at this step."""
        step = self.last_epoch
        warm = (step + 1.0) / (self.rise + 1.0) if step < self.rise else 1.0
        return [base * warm * max(self.end, self.gamma**self.reductions) for base in self.base_lrs]

    def step(self, loss: Any = None) -> None:
        """One more batch is done; its loss where ``takes_loss``."""
        if loss is not None and self.every:
            value = torch.as_tensor(loss).detach().double()
            self.total = value.clone() if self.total is None else self.total + value
            self.counted += 1
            if self.counted == self.every:
                mean, self.total, self.counted = float(self.total) / self.every, None, 0
                self._judge(mean)
        super().step()

    def observe(self, value: float) -> None:
        """Judge the loss of an epoch; the rate changes at once. Without effect where ``every`` is set."""
        if self.every:
            return
        self._judge(float(value))
        for group, rate in zip(self.optimizer.param_groups, self.get_lr(), strict=True):
            group["lr"] = rate
        self._last_lr = [group["lr"] for group in self.optimizer.param_groups]

    def _judge(self, value: float) -> None:
        if value < self.best - self.threshold * abs(self.best) or (math.isinf(self.best) and value < self.best):
            self.best, self.bad = value, 0
        else:
            self.bad += 1
        if self.resting > 0:
            self.resting, self.bad = self.resting - 1, 0
        if self.bad > self.patience:
            self.reductions, self.resting, self.bad = self.reductions + 1, self.cooldown, 0
