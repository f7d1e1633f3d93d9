"""Pick arithmetic, memory layout and threads by timing this model's own steps on this machine.

Machines differ: one CPU gains several times from bfloat16 and channels_last, another loses. A few steps of a copy
are timed
for each choice, in turns so that a disturbance hits all alike; what is not clearly faster than the plain choice is
not taken.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from trainwell.training.batches import source
from trainwell.training.machine import resolve_device
from trainwell.training.memory import give_back
from trainwell.training.program import Program
from trainwell.training.trial import Trial, untouched
from trainwell.training.weights import write_text

WORTH = 1.15  # a choice must be this many times as fast: timings scatter by about a tenth
SECONDS = 1.2  # for all timings
ROUNDS = 3
SAMPLES = 128  # of a batch that are timed: as telling as more, in less memory


@dataclass(frozen=True)
class Choice:
    """One way to compute."""

    threads: int
    dtype: str = "float32"
    channels_last: bool = False

    def __str__(self) -> str:
        return f"{self.threads} thread{'s' * (self.threads > 1)}, {self.dtype}{', channels_last' * self.channels_last}"


@dataclass(frozen=True)
class Picked:
    """The choice and what was measured: seconds a step of each choice, and the machine they were measured on."""

    choice: Choice
    seconds: dict[str, float]
    remembered: bool = False

    def why(self) -> str:
        """How much faster the choice is than the others, in words."""
        chosen = self.seconds.get(str(self.choice))
        if chosen is None or len(self.seconds) < 2:
            return "nothing to choose"
        ratios = [
            f"{name} takes {s / chosen:.2f} times as long"
            for name, s in self.seconds.items()
            if name != str(self.choice)
        ]
        return f"measured{' before' * self.remembered}: {', '.join(ratios)}"


def pick(
    program: Program, device_name: str, allowed: list[Choice], tell: Callable[[str], None] | None = None
) -> Picked:
    """The fastest of the allowed choices for this program; remembered per machine and model.

    Args:
        program: is not changed.
        device_name: ``training.device``.
        allowed: the choices, the plainest first.
        tell: is told what is timed.
    """
    device = resolve_device(device_name)
    if len(allowed) == 1:
        return Picked(allowed[0], {})
    memory = _memory_file()
    key = _key(program, device, allowed)
    known = _remembered(memory).get(key)
    if known:
        return Picked(Choice(**known["choice"]), known["seconds"], remembered=True)
    with untouched(program.train):
        torch.manual_seed(0)
        size = min(program.batch_size, SAMPLES)
        batch = next(iter(source(program.train, size, False, 0, device).epoch(1)))
        seconds = _time_all(program, device, allowed, batch, tell)
        seconds = {name: value * program.batch_size / size for name, value in seconds.items()}
    plain = allowed[0]
    best = min(allowed, key=lambda choice: seconds[str(choice)])
    chosen = best if seconds[str(plain)] >= WORTH * seconds[str(best)] else plain
    if not _busy():
        _remember(memory, key, {"choice": vars(chosen), "seconds": seconds})
    return Picked(chosen, seconds)


def choices(
    program: Program, *, threads: Any, dtype: str, channels_last: Any, low: bool, device: torch.device
) -> list[Choice]:
    """The ways to compute that the settings leave open, the plainest first.

    Args:
        threads, dtype, channels_last: a value, or ``auto``.
        low: may bfloat16 be tried at all? Its 8 bits are too few for a regression's last digits.
    """
    here = torch.get_num_threads()
    if threads != "auto":
        counts = [threads or here]
    else:
        counts = [here] if here == 1 or device.type != "cpu" else [here, 1]
    dtypes = ["float32", *(["bfloat16"] if low else [])] if dtype == "auto" else [dtype]
    images = any(isinstance(m, nn.Conv2d) for m in program.model.modules())
    layouts = ([False, True] if images else [False]) if channels_last == "auto" else [bool(channels_last)]
    return [Choice(count, d, layout) for count in counts for layout in layouts for d in dtypes]


def seconds_per_step(picked: Picked) -> float | None:
    """Seconds a step of the chosen way, if it was measured."""
    return picked.seconds.get(str(picked.choice))


def _time_all(
    program: Program, device: torch.device, allowed: list[Choice], batch: Any, tell: Callable[[str], None] | None
) -> dict[str, float]:
    times: dict[str, list[float]] = {}
    trials: dict[tuple[str, bool], Trial] = {}
    alive = list(allowed)
    deadline = time.perf_counter() + SECONDS
    for round_number in range(ROUNDS + 1):  # the first round warms up
        for choice in list(alive):
            if tell:
                tell(str(choice))
            layout = (choice.dtype, choice.channels_last)
            if layout not in trials:
                trials[layout] = Trial(program, device, dtype=choice.dtype, channels_last=choice.channels_last, lr=0.0)
            torch.set_num_threads(choice.threads)
            seconds = _time_step(trials[layout], batch, device)
            if round_number == 0:
                seconds = min(seconds, _time_step(trials[layout], batch, device))
            times.setdefault(str(choice), []).append(seconds)
            give_back()
        fastest = min(min(values) for values in times.values())
        alive = [c for c in alive if c == allowed[0] or min(times[str(c)]) < 1.5 * fastest]
        if time.perf_counter() > deadline:
            break
    return {name: min(values) for name, values in times.items()}


def _time_step(trial: Trial, batch: Any, device: torch.device) -> float:
    begin = time.perf_counter()
    loss, _ = trial.step(batch)
    float(loss)  # waits for the device
    return time.perf_counter() - begin


def _busy() -> bool:
    """Do other programs want more than half of the cores? What is measured then is not worth remembering."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > 0.5 * (os.cpu_count() or 1) + 1


def _key(program: Program, device: torch.device, allowed: list[Choice]) -> str:
    shapes = [tuple(p.shape) for p in program.model.parameters()]
    what = [
        platform.processor(),
        _cpu_name(),
        os.cpu_count(),
        torch.__version__,
        str(device),
        [str(c) for c in allowed],
        repr(program.model)[:20_000],
        shapes,
        program.batch_size,
    ]
    return hashlib.sha256(repr(what).encode()).hexdigest()[:24]


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(
                (line.split(":", 1)[1].strip() for line in file if line.startswith(("model name", "flags"))), ""
            )
    except OSError:
        return platform.machine()


def _memory_file() -> Path:
    from trainwell.data.cache import cache_folder

    return cache_folder() / "measured.json"


def _remembered(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def _remember(path: Path, key: str, value: dict[str, Any]) -> None:
    from trainwell.errors import JobError

    kept = {**_remembered(path), key: value}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, json.dumps(dict(list(kept.items())[-200:]), indent=0))
    except (OSError, JobError):
        return  # a cache that cannot be written costs a second next time, nothing else
