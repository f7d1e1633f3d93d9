"""The rate of a running optimizer: read it, and scale it for all the steps that follow."""

from typing import Any

from torch.optim import Optimizer


def current_rate(optimizer: Optimizer) -> float:
    """The rate of the first group at this step."""
    return float(optimizer.param_groups[0]["lr"])


def scale_rates(optimizer: Optimizer, scheduler: Any, factor: float) -> None:
    """Multiply the rate by ``factor`` now and in all later steps of the scheduler."""
    for group in optimizer.param_groups:
        for key in ("lr", "initial_lr", "max_lr", "min_lr"):
            if isinstance(group.get(key), int | float):
                group[key] *= factor
    for part in [scheduler, *getattr(scheduler, "_schedulers", [])]:
        if hasattr(part, "base_lrs"):
            part.base_lrs = [rate * factor for rate in part.base_lrs]
