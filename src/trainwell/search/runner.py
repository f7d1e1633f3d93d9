"""One method on its way: a copy of the program that is trained in slices, with its own clock and its own randomness.

All runners of a race begin with the same weights, the same order of samples and the same state of the random
generators; each puts its own state back before a slice, so that dropout and augmentation draw the same numbers for all,
however the slices are interleaved. The rate follows the schedule over the share p of the runner's own way,

    p = step / steps   or   p = own seconds / seconds allowed,

so that a race by the clock lets every method end its schedule.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.scheduling.schedules import factor
from trainwell.search.outcome import Entry, Look
from trainwell.search.outcome import Trial as Tried
from trainwell.training import stopping
from trainwell.training.batches import Source, endless, own_generators, source
from trainwell.training.checkpoint import random_state, set_random_state
from trainwell.training.evaluation import ordered, score
from trainwell.training.program import Program
from trainwell.training.trial import Trial

FINE = 1_000_000  # parts that a schedule is cut into
STRETCH = 10  # steps between two looks at the loss on a device that must be waited for


@dataclass(frozen=True)
class Setting:
    """What all methods of a race share: seed, device, arithmetic, schedule, and what is looked at.

    ``schedule`` holds the arguments ``name``, ``warmup``, ``end`` and ``options`` of ``optim.schedules.factor``.
    """

    seed: int
    device: torch.device
    dtype: str
    channels_last: bool
    schedule: Mapping[str, Any]
    held: "Held"
    val: Source | None
    task: str


@dataclass(frozen=True)
class Way:
    """How far a runner goes: so many steps, or so many seconds of its own training time."""

    steps: int | None = None
    seconds: float | None = None

    def share(self, step: int, seconds: float) -> float:
        """The share of the way that is behind."""
        return step / self.steps if self.steps else seconds / (self.seconds or math.inf)


class Held:
    """Some batches that are looked at again and again: the same training samples for every method."""

    def __init__(self, batches: list[Any]) -> None:
        self._held, self.batches = batches, len(batches)

    def epoch(self, epoch: int) -> Iterator[Any]:
        """The batches, whatever the epoch."""
        return iter(self._held)


class Runner:
    """Trains one method.

    Args:
        name: of the method.
        program: with an optimizer that is a callable of the parameters or the model; it stays as it is.
        setting: what all share.
        way: how far.
        scheduled: whether the rate follows the schedule; a method that searches for its steps keeps its own.
    """

    def __init__(self, name: str, program: Program, setting: Setting, way: Way, scheduled: bool = True) -> None:
        self.name, self.setting, self.way, self.scheduled = name, setting, way, scheduled
        self.status, self.note, self.batch_size = "running", "", program.batch_size
        self.seconds, self.step = 0.0, 0
        self.losses: list[float] = []
        self.looks: list[Look] = []
        self._fresh: list[Tensor] = []
        self._ready = False
        torch.manual_seed(setting.seed)
        self._own = own_generators(program.train)
        try:
            self.trial = Trial(program, setting.device, dtype=setting.dtype, channels_last=setting.channels_last)
            self._peaks = [group.get("lr") for group in self.trial.optimizer.param_groups]
            self.trial.step.everything = partial(_everything, program, setting)
            samples = source(program.train, program.batch_size, program.shuffle, setting.seed, setting.device)
            self._batches = endless(samples)
            self._ready = True
        except Exception as error:
            self.end("failed", _told(error))
        self._random = random_state(self._own)

    @property
    def running(self) -> bool:
        """Is it still on its way?"""
        return self.status == "running"

    @property
    def share(self) -> float:
        """The share of the way that is behind."""
        return self.way.share(self.step, self.seconds)

    def end(self, status: str, note: str = "") -> None:
        """End here."""
        self.status, self.note = status, note

    def run_to(self, share: float) -> None:
        """Train until this share of the way is behind; errors end the runner and not the race."""
        if not self.running:
            return
        set_random_state(self._random, self._own)
        try:
            self._run_to(share)
            self._read()
        except Exception as error:
            self.end("failed", _told(error))
        self._random = random_state(self._own)

    def _run_to(self, share: float) -> None:
        every = 1 if self.setting.device.type == "cpu" else STRETCH
        while self.running and self.share < share and not stopping.wished():
            began = time.perf_counter()
            if self.scheduled:
                self._set_rate()
            loss, _ = self.trial.step(next(self._batches))
            self._fresh.append(loss)
            self.step += 1
            if self.step % every == 0:
                self._read()
            self.seconds += time.perf_counter() - began
        began = time.perf_counter()
        _wait(self.setting.device)
        self.seconds += time.perf_counter() - began

    def _read(self) -> None:
        """Read the losses of the latest steps, which waits for the device."""
        values = torch.stack([loss.reshape(()) for loss in self._fresh]).tolist() if self._fresh else []
        self._fresh.clear()
        self.losses += values
        bad = next((i for i, value in enumerate(values) if not math.isfinite(value)), None)
        if bad is not None and self.running:
            step = len(self.losses) - len(values) + bad + 1
            self.end("diverged", f"The loss was {values[bad]} at step {step}.")

    def _set_rate(self) -> None:
        done, steps = (self.step, self.way.steps) if self.way.steps else (min(FINE, round(self.share * FINE)), FINE)
        scale = factor(step=done, steps=steps, **self.setting.schedule)
        for group, peak in zip(self.trial.optimizer.param_groups, self._peaks, strict=True):
            if isinstance(peak, float | int):
                group["lr"] = peak * scale

    def look(self) -> None:
        """Measure where it is; the clock stands still meanwhile."""
        if not self._ready:
            return
        forward, task = self.trial.step.forward, self.setting.task
        with _result_of(self.trial.optimizer):
            train = score(self.trial.model, self.setting.held, forward, task)  # type: ignore[arg-type]
            val = score(self.trial.model, self.setting.val, forward, task) if self.setting.val else {}
        self.looks.append(Look(self.step, self.seconds, train, val))

    def entry(self, lr: float | None, lr_note: str, trials: tuple[Tried, ...]) -> Entry:
        """What is to be told of it."""
        memory = _memory(self.trial) if self._ready and self.step else None
        return Entry(
            name=self.name,
            status=self.status,
            note=self.note,
            lr=lr,
            lr_note=lr_note,
            trials=trials,
            looks=tuple(self.looks),
            batch_losses=tuple(self.losses),
            memory=memory,
            batch_size=self.batch_size,
        )


def held_batches(program: Program, setting_seed: int, device: torch.device, samples: int) -> Held:
    """The first batches of the first epoch, ``samples`` samples or a little more."""
    batches = source(program.train, program.batch_size, program.shuffle, setting_seed, device)
    wanted = max(1, min(batches.batches, -(-samples // max(1, batches.batch_size))))
    found = []
    for batch in batches.epoch(1):
        found.append(batch)
        if len(found) == wanted:
            break
    return Held(found)


def full_batch(program: Program) -> Program:
    """The program with all training samples in every step, for methods that need them.

    Raises:
        ValueError: where the data are not in memory.
    """
    if not isinstance(program.train, tuple | list):
        raise ValueError("needs all samples in every step: give the training data as (X, y)")
    return replace(program, batch_size=len(program.train[1]), shuffle=False)


def _everything(program: Program, setting: Setting) -> Iterator[Any]:
    """All training samples once, for methods that anchor their steps in the whole gradient."""
    return ordered(program.train, program.batch_size, setting.device).epoch(1)


def _result_of(optimizer: Any) -> AbstractContextManager[Any]:
    """The weights that the method gives as its result (schedule-free methods: an average), for this block."""
    return optimizer.evaluation() if hasattr(optimizer, "evaluation") else nullcontext()


def _memory(trial: Trial) -> float:
    """Numbers kept in the optimizer's state per parameter; plain numbers are not counted."""
    parameters = sum(p.numel() for p in trial.model.parameters() if p.requires_grad)
    return sum(map(_numbers, trial.optimizer.state.values())) / max(1, parameters)


def _numbers(value: Any) -> int:
    if isinstance(value, Tensor):
        return value.numel() if value.dim() else 0
    if isinstance(value, dict):
        return sum(map(_numbers, value.values()))
    return sum(map(_numbers, value)) if isinstance(value, list | tuple) else 0


def _told(error: Exception) -> str:
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}"


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
