"""``tw.watch`` on the programs of the clinic's suite: what it says of the sick, and if it leaves the healthy alone.

    python bench/watch_suite.py [tuning | held-out] [--steps 300] [--seed 0]

Every program runs in a bare loop, healthy ones and repaired ones (which must be silent) and sick ones as they are; the
watch looks at every fourth step. Printed is what was said of each program, the share of the healthy with a finding, and
the extremes that the thresholds of ``clinic/watching/alarms`` were set by, over the healthy.
"""

import argparse
import collections
import math
import pathlib
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).parent / "clinic"))
from program import Case, load_programs

from trainwell.clinic.watching import Watch
from trainwell.clinic.watching.alarms import dead_units, gradient_scale, rate_too_high

LOOK_EVERY = 4


class Extremes:
    """An alarm that says nothing and keeps the largest of each quantity that the others judge."""

    BLIND = ""

    def __init__(self) -> None:
        self.found: dict[str, float] = {"dead share": 0.0, "change": 0.0, "spike": 0.0, "level": 0.0}
        self._dead, self._norms = dead_units.Alarm(), collections.deque(maxlen=32)

    def look(self, seen: Any) -> Iterator[Any]:
        """Keep what a look shows."""
        spike = gradient_scale.spike(seen.look.gradient, self._norms)
        self._norms.append(seen.look.gradient)
        self._keep("dead share", max(self._dead.shares(seen.look).values(), default=0.0))
        self._keep("change", seen.look.change)
        self._keep("spike", spike)
        return iter(())

    def step(self, seen: Any) -> Iterator[Any]:
        """Keep what the losses show."""
        if len(seen.losses) >= rate_too_high.RECENT:
            self._keep("level", rate_too_high.level(seen))
        return iter(())

    def _keep(self, name: str, value: float) -> None:
        self.found[name] = max(self.found[name], value if math.isfinite(value) else 0.0)


def watched(case: Case, steps: int) -> tuple[Watch, dict[str, float], str]:
    """Train a program for so many steps under the watch; also the extremes, and the error that ended it."""
    net, optimizer, loss = case["model"], case["optimizer"], case["loss"]
    if not isinstance(optimizer, torch.optim.Optimizer):
        optimizer = optimizer(net.parameters())
    scheduler = case.get("scheduler")
    if scheduler is not None and not hasattr(scheduler, "step"):
        scheduler = scheduler(optimizer)
    watch, extremes, error = Watch(net, optimizer, loss, told=lambda finding: None, share=1.0), Extremes(), ""
    watch.pace.due = lambda step: step <= 3 or step % LOOK_EVERY == 0
    for moment in ("look", "step"):
        watch._asked[moment].insert(0, extremes)
    net.train()
    with watch:
        try:
            for x, y in batches(case, steps):
                optimizer.zero_grad()
                value = (loss if isinstance(loss, nn.Module) else watch.loss)(net(x), y)
                value.backward()
                if isinstance(case.get("clip_grad"), int | float):
                    nn.utils.clip_grad_norm_(net.parameters(), case["clip_grad"])
                optimizer.step()
                if scheduler is not None:
                    scheduler.step()
        except (RuntimeError, IndexError, ValueError) as raised:  # of programs that crash
            error = f"{type(raised).__name__}: {raised}".splitlines()[0]
    return watch, extremes.found, error


def batches(case: Case, steps: int) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of all epochs, up to so many."""
    x, y = (torch.as_tensor(part) for part in case["train"])
    size, taken = min(case["batch_size"], len(y)), 0
    for _ in range(case["epochs"]):
        order = torch.randperm(len(y)) if case.get("shuffle", True) else torch.arange(len(y))
        for begin in range(0, len(y) - size + 1, size):
            if taken == steps:
                return
            taken += 1
            index = order[begin : begin + size]
            yield x[index], y[index]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("half", nargs="?", default="tuning", choices=("tuning", "held-out"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    largest: dict[str, tuple[float, str]] = {}
    count, fair = {False: [0, 0], True: [0, 0]}, 0  # of healthy and sick: programs, and those with a finding
    for program in load_programs().values():
        if program.half != asked.half:
            continue
        for sick in (False, True) if program.faults else (False,):
            case = program.build(asked.seed, sick)
            if not isinstance(case["train"], tuple):
                continue
            watch, extremes, error = watched(case, asked.steps)
            said = [f"{f.code} at {f.where}, step {f.evidence['step']}" for f in watch.findings] + watch._failed
            count[sick][0] += 1
            count[sick][1] += bool(said)
            if sick and watch.findings:
                fair += watch.findings[0].code in {*program.faults, *program.symptoms}
            if said:
                truth = f" (true: {', '.join(program.faults)})" if sick else " (healthy)"
                print(f"{program.id}{truth}: {'; '.join(said)}{f'; {error}' if error else ''}", flush=True)
            if not sick:
                for name, value in extremes.items():
                    largest[name] = max(largest.get(name, (0.0, "")), (value, program.id))
    print(f"healthy or repaired: {count[False][1]} of {count[False][0]} with a finding")
    print(
        f"sick: {count[True][1]} of {count[True][0]} with a finding, the first of them a true code or symptom in {fair}"
    )
    for name, (value, which) in largest.items():
        print(f"largest {name} of the healthy: {value:.3g} ({which})")


if __name__ == "__main__":
    main()
