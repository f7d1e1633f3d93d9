"""Schedules of the learning rate as a factor of the peak rate, after every batch.

With warm-up share w and progress p = step / steps ∈ [0, 1]:

    warm-up    f(p) = p / w                                        for p < w  (from 1/(w·steps), never 0)
    one-cycle  f(p) = (1 + cos π q) / 2 · (1 − end) + end,         q = (p − w) / (1 − w)
    cosine     the same curve without a warm-up
    linear     f(p) = 1 − q · (1 − end)
    constant   f(p) = 1

Source: deck M, learning-rate schedules; Loshchilov & Hutter 2017, arXiv:1608.03983; Smith & Topin 2018,
arXiv:1708.07120
(one-cycle; the momentum is left constant here).
"""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def _one_cycle(q: float, end: float) -> float:
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * q))


def _linear(q: float, end: float) -> float:
    return 1.0 - q * (1.0 - end)


def _constant(q: float, end: float) -> float:
    return 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {
    "one-cycle": _one_cycle,
    "cosine": _one_cycle,
    "linear": _linear,
    "constant": _constant,
}


def factor(name: str, step: int, steps: int, *, warmup: float = 0.2, end: float = 0.0) -> float:
    """Factor on the peak rate for the given step.

    Args:
        name: a key of ``SCHEDULES``; ``cosine`` takes no warm-up.
        step: steps already taken, from 0.
        steps: steps of the whole run.
        warmup: share of the steps over which the rate grows linearly, in [0, 1).
        end: factor at the last step.
    """
    rise = 0.0 if name == "cosine" else warmup * steps
    if step < rise:
        return (step + 1.0) / (rise + 1.0)
    left = max(1.0, steps - rise)
    return SCHEDULES[name](min(1.0, (step - rise) / left), end)


def schedule(optimizer: Optimizer, name: str, steps: int, *, warmup: float = 0.2, end: float = 0.0) -> LambdaLR:
    """A scheduler that is stepped after every batch; see :func:`factor`.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule: no schedule is called {name!r}. Choose one of {', '.join(SCHEDULES)}.")
    return LambdaLR(optimizer, lambda step: factor(name, step, steps, warmup=warmup, end=end))
