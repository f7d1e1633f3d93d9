"""The track of a race: who can run, at which rate, whose turn it is, and what came out."""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from trainwell.optim.methods import METHODS
from trainwell.search.outcome import Entry, Race
from trainwell.search.runner import Runner, Setting, Way, full_batch, held_batches
from trainwell.search.saving import save
from trainwell.search.tuning import FACTORS, LEAST, Tuned, paces, takes_rate, trial_steps, tune, untuned
from trainwell.training import stopping
from trainwell.training.evaluation import ordered
from trainwell.training.machine import resolve_device, settled
from trainwell.training.program import Program
from trainwell.training.settings import Training
from trainwell.training.state import Teller
from trainwell.training.trial import untouched

LOOKS = 32
EARLY = 1.5  # exponent by which looks are denser at the start, where losses fall fastest
SLICE = 1.0  # seconds of one method's turn at most
HELD = 2048  # training samples whose loss is looked at
OWN_STEPS = "finds the length of its steps itself: no rate was tuned, and no schedule is followed"
TRIAL_SHARE = 5  # a race over n steps tunes with trials of n / 5
UNFIT = {
    "composition": "it is for losses f(E g), not for a model and its data",
    "sparse_gradients": "it needs sparse gradients in every parameter",
}

MakeOptimizer = Callable[[str, float | None], Any]
"""From a method's name and its rate to what ``Program.optimizer`` takes."""


class ByName:
    """A method of the table as a callable of the model."""

    takes_model = True

    def __init__(self, name: str, lr: float | None) -> None:
        self.name, self.lr = name, lr

    def __call__(self, model: torch.nn.Module) -> torch.optim.Optimizer:
        return METHODS[self.name](model, self.lr)


def run_race(
    program: Program,
    names: Sequence[str],
    optimizer: MakeOptimizer,
    *,
    training: Training,
    schedule: Mapping[str, Any],
    budget: float | None,
    steps: int | None,
    rates: Mapping[str, float],
    about: Mapping[str, Any],
    folder: str | Path | None,
    teller: Teller,
) -> Race:
    """Tune, run in turns, and say what came out; see :func:`race`."""
    began, device = time.perf_counter(), resolve_device(training.device)
    with settled(training, device), untouched(program.train):
        program = replace(program, model=program.model.to(device))
        setting = Setting(
            seed=training.seed,
            device=device,
            dtype=training.dtype,
            channels_last=training.channels_last,
            schedule=schedule,
            held=held_batches(program, training.seed, device, HELD),
            val=ordered(program.val, max(program.batch_size, 256), device) if program.val is not None else None,
            task=program.guessed_task(),
        )
        course = Course(program, names, optimizer, setting, teller)
        tuned, trial, left = course.tune(budget, steps, rates)
        way = Way(steps=steps) if steps else Way(seconds=left / max(1, len(course.fit)))
        runners = course.run(tuned, way)
    outcome = Race(
        entries=tuple(course.entry(name, runners, tuned) for name in names),
        about={
            **about,
            "created": time.strftime("%Y-%m-%d %H:%M"),
            "task": setting.task,
            "samples": len(program.train[1]) if isinstance(program.train, tuple | list) else None,
            "parameters": sum(p.numel() for p in program.model.parameters()),
            "batch_size": program.batch_size,
            "seed": training.seed,
            "device": str(device),
            "threads": training.threads or torch.get_num_threads(),
            "dtype": training.dtype,
            "schedule": schedule["name"],
            "budget_seconds": budget,
            "seconds_each": way.seconds,
            "steps_each": steps,
        },
        tuning={"factors": FACTORS if trial else (), "steps": trial},
        seconds=time.perf_counter() - began,
        stopped=_signal(),
        folder=None if folder is None else Path(folder),
    )
    if outcome.folder is not None:
        save(outcome, teller)
    return outcome


class Course:
    """The track of one race: who can run, at which rate, and the turns."""

    def __init__(
        self, program: Program, names: Sequence[str], optimizer: MakeOptimizer, setting: Setting, teller: Teller
    ) -> None:
        self.program, self.optimizer, self.setting, self.teller = program, optimizer, setting, teller
        self.unfit = {name: why for name in names if (why := _unfit(name, program))}
        self.fit = [name for name in names if name not in self.unfit]
        self.pace: dict[str, float] = {}

    def runner(self, name: str, lr: float | None, way: Way) -> Runner:
        """A runner at the start."""
        program = full_batch(self.program) if "full_batch" in METHODS[name].needs else self.program
        program = replace(program, optimizer=self.optimizer(name, lr), scheduler=None)
        return Runner(name, program, self.setting, way, scheduled=takes_rate(name))

    def tune(
        self, budget: float | None, steps: int | None, rates: Mapping[str, float]
    ) -> tuple[dict[str, Tuned], int, float]:
        """The rates, the steps of a trial (0: none was made), and what is left of the budget."""
        self.teller.stage("measuring the pace")
        self.pace, spent = paces(self.fit, self.runner)
        tuned = {name: Tuned(None, OWN_STEPS) for name in self.fit if not takes_rate(name)}
        tuned |= {name: Tuned(rate, "given") for name, rate in rates.items() if name in self.fit}
        open_ = [name for name in self.fit if name not in tuned]
        if not open_:
            return tuned, 0, (budget or 0.0) - spent
        each = max(LEAST, steps // TRIAL_SHARE) if steps else 0
        if budget:
            each = trial_steps({name: pace for name, pace in self.pace.items() if name in open_}, budget - spent)
        if not each:
            self.teller.say("The budget is too small to tune the rates: the defaults are used. Give more time.")
            return tuned | untuned(open_, "the budget was too small to tune it"), 0, (budget or 0.0) - spent
        text = f"tuning {len(open_)} rates" if len(open_) > 1 else "tuning a rate"
        found, took = tune(open_, each, self.runner, lambda share: self.teller.stage(text, share))
        for name, result in found.items():
            self.teller.say(f"{name}: rate {result.lr:g}, {result.note}.")
        return tuned | found, each, max((budget or 0.0) - spent - took, 0.1 * (budget or 0.0))

    def run(self, tuned: Mapping[str, Tuned], way: Way) -> dict[str, Runner]:
        """Let the methods take turns to the end; a signal ends all, and what was run is kept."""
        runners = {name: self.runner(name, tuned[name].lr, way) for name in self.fit}
        text = f"racing {', '.join(self.fit)}"
        with stopping.shielded():
            for runner in runners.values():
                runner.look()
            self.teller.stage(text, 0.0)
            for share, look in self._turns(way):
                for runner in runners.values():
                    was = runner.running
                    runner.run_to(share)
                    if was and (look or not runner.running):
                        runner.look()
                if stopping.wished():
                    break
                self.teller.stage(text, share)
        for runner in runners.values():
            if runner.running and runner.share < 1:
                runner.end("stopped", f"Stopped after {runner.step} steps.")
                if runner.step > runner.looks[-1].step:
                    runner.look()
            elif runner.running:
                runner.end("finished")
        return runners

    def _turns(self, way: Way) -> Iterable[tuple[float, bool]]:
        """Shares of the way at which a turn ends, and whether the losses are looked at there."""
        slowest = max(self.pace.values(), default=0.0)
        whole = way.seconds or slowest * (way.steps or 0)
        before = 0.0
        for i in range(1, LOOKS + 1):
            share = (i / LOOKS) ** EARLY
            pieces = max(1, math.ceil((share - before) * whole / SLICE))
            for piece in range(1, pieces):
                yield before + (share - before) * piece / pieces, False
            yield share, True
            before = share

    def entry(self, name: str, runners: Mapping[str, Runner], tuned: Mapping[str, Tuned]) -> Entry:
        """What is told of the method."""
        if name in self.unfit:
            return Entry(name, "skipped", f"Left out: {self.unfit[name]}.")
        return runners[name].entry(tuned[name].lr, tuned[name].note, tuned[name].trials)


def _unfit(name: str, program: Program) -> str:
    """Why a method cannot run on this program; "" where it can."""
    needs = METHODS[name].needs
    if "full_batch" in needs and not isinstance(program.train, tuple | list):
        return "it needs all samples in every step, and the data are not in memory"
    return next((why for need, why in UNFIT.items() if need in needs), "")


def _signal() -> int | None:
    """The number of the signal that asked to stop, if one did."""
    try:
        stopping.check()
    except stopping.Stopped as stop:
        return stop.signum
    return None
