"""The rate of every method, found with the same effort.

Each method takes the same number of short runs of the same number of steps, from the same start on the same batches, at
the same factors on its own default rate, with the schedule of the race (shortened). The rate with the lowest loss at
the end, measured on the same training samples, is taken. A short run favours rates that are quick over rates that end
lower; this is alike for all methods. A winner at the edge of the grid is said to be there.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from trainwell.optim.methods import METHODS
from trainwell.search.outcome import Trial
from trainwell.search.runner import Runner, Way

FACTORS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
LEAST = 5  # steps of a trial, below which its end says nothing
MOST = 500
PACE = 6  # steps by which a method's pace is measured; the first, which makes its state, is not counted
SHARE = 0.4  # of a budget for tuning
MOST_OF_BUDGET = 0.6  # beyond which the default rates are taken

Make = Callable[[str, float, Way], Runner]
"""Makes the runner of a method at a rate."""


@dataclass(frozen=True)
class Tuned:
    """The rate of a method, where it comes from, and what was tried."""

    lr: float | None
    note: str
    trials: tuple[Trial, ...] = ()


def takes_rate(name: str) -> bool:
    """Has the method a rate to choose? Line searches, Newton's family and trust regions find their own steps."""
    method = METHODS[name]
    return method.accepts("lr") and not method.finds_length


def paces(names: Sequence[str], make: Make) -> tuple[dict[str, float], float]:
    """Seconds a step of every method at its default rate, and the training time that measuring them took."""
    found, spent = {}, 0.0
    for name in names:
        runner = make(name, METHODS[name].lr, Way(steps=PACE))
        runner.run_to(1 / PACE)
        first = runner.seconds
        runner.run_to(1.0)
        spent += runner.seconds
        if runner.step > 1:
            found[name] = (runner.seconds - first) / (runner.step - 1)
        elif runner.step:
            found[name] = first
    return found, spent


def trial_steps(pace: Mapping[str, float], budget: float) -> int:
    """Steps of each trial so that tuning all methods takes ``SHARE`` of the budget; 0 where that is not possible."""
    a_step = len(FACTORS) * sum(seconds for name, seconds in pace.items() if takes_rate(name))
    if not a_step:
        return LEAST
    steps = min(MOST, int(SHARE * budget / a_step))
    if steps >= LEAST:
        return steps
    return LEAST if LEAST * a_step <= MOST_OF_BUDGET * budget else 0


def tune(names: Sequence[str], steps: int, make: Make, tell: Callable[[float], None]) -> tuple[dict[str, Tuned], float]:
    """The rates of these methods, and the training time that it took; factor by factor, so that all are hit alike.

    Args:
        names: methods that take a rate.
        steps: of each trial.
        make: makes a runner.
        tell: is told the share that is done.
    """
    tried: dict[str, list[Trial]] = {name: [] for name in names}
    spent = 0.0
    for i, scale in enumerate(FACTORS):
        for j, name in enumerate(names):
            rate = _rounded(METHODS[name].lr * scale)
            runner = make(name, rate, Way(steps=steps))
            runner.run_to(1.0)
            spent += runner.seconds
            loss = math.nan
            if runner.running:
                runner.look()
                loss = runner.looks[-1].train["loss"]
            tried[name].append(Trial(rate, loss))
            tell((i * len(names) + j + 1) / (len(FACTORS) * len(names)))
    return {name: _best(name, tuple(trials), steps) for name, trials in tried.items()}, spent


def untuned(names: Sequence[str], why: str) -> dict[str, Tuned]:
    """The table's rates."""
    return {name: Tuned(METHODS[name].lr, f"the default: {why}") for name in names}


def _best(name: str, trials: tuple[Trial, ...], steps: int) -> Tuned:
    finite = [trial for trial in trials if math.isfinite(trial.loss)]
    if not finite:
        return Tuned(METHODS[name].lr, f"the default: none of {len(trials)} rates gave a finite loss", trials)
    best = min(finite, key=lambda trial: trial.loss)
    note = f"best of {len(trials)} rates from {trials[0].lr:g} to {trials[-1].lr:g}, {steps} steps each"
    if len({trial.loss for trial in finite}) == 1:
        return Tuned(METHODS[name].lr, "the default: the rate made no difference", trials)
    if best in (trials[0], trials[-1]):
        note += "; at the edge of what was tried, a better one may lie beyond"
    return Tuned(best.lr, note, trials)


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")
