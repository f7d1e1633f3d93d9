"""Schedules of the learning rate as a factor of the peak rate, after every batch.

With warm-up share w and progress p = step / steps ∈ [0, 1]:

    warm-up    f(p) = p / w                                        for p < w  (from 1/(w·steps), never 0)
    one-cycle  f(p) = (1 + cos π q) / 2 · (1 − end) + end,         q = (p − w) / (1 − w)
    cosine     the same curve without a warm-up
    linear     f(p) = 1 − q · (1 − end)
    constant   f(p) = 1

and the shapes of ``schedule_shapes`` (1/k, 1/√k, exponential, staircase, polynomial, cosine with
restarts, warm-up–stable–decay, growing), each after the same warm-up. ``plateau`` follows the loss instead of the step.

Source: deck M, learning-rate schedules; Loshchilov & Hutter 2017, arXiv:1608.03983; Smith & Topin 2018,
arXiv:1708.07120
(one-cycle; the momentum is left constant here).
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from trainwell.optim.scheduling import schedule_shapes as shapes
from trainwell.optim.scheduling.plateau_schedule import PlateauSchedule

SCHEDULES: dict[str, Callable[..., float]] = {
    "one-cycle": shapes.one_cycle,
    "cosine": shapes.one_cycle,
    "linear": shapes.linear,
    "constant": shapes.constant,
    "inverse": shapes.inverse,
    "inverse_sqrt": shapes.inverse_sqrt,
    "exponential": shapes.exponential,
    "staircase": shapes.staircase,
    "polynomial": shapes.polynomial,
    "cosine_restarts": shapes.cosine_restarts,
    "wsd": shapes.wsd,
    "plateau": shapes.plateau,
    "growing": shapes.growing,
}
"""Name → shape(k, n, end, **options), see ``schedule_shapes``."""

POSITIVE = ("gamma", "mult", "power", "growth", "every", "first", "cycles")


def schedule_options(name: str) -> dict[str, Any]:
    """The options of a schedule with their defaults.

    Raises:
        ValueError: for an unknown name.
    """
    if name not in SCHEDULES:
        raise ValueError(f"schedule: no schedule is called {name!r}. Choose one of {', '.join(SCHEDULES)}.")
    owner: Callable[..., Any] = PlateauSchedule if name == "plateau" else SCHEDULES[name]
    found = inspect.signature(owner).parameters.values()
    return {p.name: p.default for p in found if p.kind is p.KEYWORD_ONLY and p.name not in ("rise", "end")}


def factor(
    name: str,
    step: int,
    steps: int,
    *,
    warmup: float = 0.2,
    end: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> float:
    """Factor on the peak rate for the given step.

    Args:
        name: a key of ``SCHEDULES``; ``cosine`` takes no warm-up.
        step: steps already taken, from 0.
        steps: steps of the whole run.
        warmup: share of the steps over which the rate grows linearly, in [0, 1).
        end: factor at the last step.
        options: of the shape, see :func:`schedule_options`; of ``plateau`` they do not matter here.
    """
    rise = 0.0 if name == "cosine" else warmup * steps
    if step < rise:
        return (step + 1.0) / (rise + 1.0)
    left = max(1.0, steps - rise)
    given = {} if name == "plateau" else options or {}
    return SCHEDULES[name](min(left, step - rise), left, end, **given)


class Factor:
    """:func:`factor` as a callable of the step, whose settings ``LambdaLR`` saves (of a function it saves nothing)."""

    def __init__(self, name: str, steps: int, warmup: float, end: float, options: Mapping[str, Any]) -> None:
        self.name, self.steps, self.warmup, self.end, self.options = name, steps, warmup, end, dict(options)

    def __call__(self, step: int) -> float:
        return factor(self.name, step, self.steps, warmup=self.warmup, end=self.end, options=self.options)


def schedule(
    optimizer: Optimizer,
    name: str,
    steps: int,
    *,
    warmup: float = 0.2,
    end: float = 0.0,
    options: Mapping[str, Any] | None = None,
) -> LRScheduler:
    """A scheduler that is stepped after every batch; see :func:`factor`.

    Its ``state_dict`` holds the settings as well: a resumed run goes on with those that it was started with.
    ``plateau`` gives a ``PlateauSchedule``, which is also told the loss.
    ``growing`` takes rate and momentum that its options leave out from each group of the optimizer.

    Raises:
        ValueError: for an unknown name or option, or an option out of its range.
    """
    known, given = schedule_options(name), dict(options or {})
    check_options(name, known, given)
    if name == "plateau":
        return PlateauSchedule(optimizer, rise=warmup * steps, end=end, **given)
    if name != "growing" or "growth" in given:
        return LambdaLR(optimizer, Factor(name, steps, warmup, end, given))
    each = [{"lr": group["lr"], "momentum": group.get("momentum", 0.0), **given} for group in optimizer.param_groups]
    factors: list[Callable[[int], float]] = [Factor(name, steps, warmup, end, own) for own in each]
    for made in factors:
        made(steps)  # a decay that overshoots is refused here, not after the warm-up
    return LambdaLR(optimizer, factors)


def check_options(name: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise a ValueError for an option that the schedule does not have, or one out of its range."""
    for option, value in given.items():
        if option not in known:
            has = f"It has {', '.join(known)}." if known else "It has none."
            raise ValueError(f"schedule: {name} has no option {option!r}. {has}")
        if option in POSITIVE and value is not None and not (value > 0 or (name == "plateau" and value == 0)):
            raise ValueError(f"schedule: {name}'s {option}={value} must be above 0.")
        if name == "wsd" and option == "cooldown" and not 0 < value <= 1:
            raise ValueError(f"schedule: wsd's cooldown={value} must lie in (0, 1].")
        if option == "form" and value not in ("sqrt", "linear", "cosine"):
            raise ValueError(f"schedule: wsd's form={value!r} must be sqrt, linear or cosine.")
        if option in ("decay", "weight_decay", "patience", "threshold") and value is not None and value < 0:
            raise ValueError(f"schedule: {name}'s {option}={value} must be 0 or more.")
        if option == "mult" and value < 1:
            raise ValueError(f"schedule: {name}'s mult={value} must be at least 1: cycles that shrink have no end.")
