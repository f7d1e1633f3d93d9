"""The published settings of the lab's experiments: each started, those that end in time kept, the pace of the others.

    TRAINWELL_DATA=… OMP_NUM_THREADS=1 python bench/lab_full.py [--only N01,S05] [--limit 60] [--keep]

A full run is given ``--limit`` seconds of one core. One that does not come to its end is started again with the field
that it is long by (steps, nets, …) at two small fractions of its value: a straight line through the two times says how
long the whole takes on this processor. ``--keep`` writes what ended into ``lab/results``, with hardware and time.
"""

import argparse
import importlib
import json
import resource
import subprocess
import sys
import time
from dataclasses import replace
from typing import Any

from trainwell.lab.catalogue import Entry, entries, entry
from trainwell.lab.full_results import keep
from trainwell.lab.single import Options, measured
from trainwell.training.environment import processor

LONG_BY = ("steps", "limit", "passes", "epochs", "iterations", "nets", "starts", "sets", "runs", "pictures", "units")
FRACTIONS = ((1 / 50, 1 / 25), (1 / 10, 1 / 5), (1 / 500, 1 / 200), (1 / 5000, 1 / 2000))


def started(name: str, limit: float, fraction: float = 1.0) -> tuple[float, dict[str, Any] | None]:
    """Seconds of processor time of a full run in a process of its own, and its result if it ended in time."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--one", name, "--fraction", str(fraction), "--limit", str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        told = json.loads(done.stdout.splitlines()[-1])
        return told["processor"], told["result"]
    if done.stderr.strip():
        print(f"{name}: {done.stderr.strip().splitlines()[-1]}", flush=True)
    return time.perf_counter() - began, None


def one(name: str, fraction: float, limit: float) -> None:
    """Run one experiment's full setting, or a fraction of it, and print its result."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit), int(limit) + 5))  # the signal ends the process
    chosen = entry(name)
    module = importlib.import_module(chosen.module)
    setting = module.FULL
    if fraction < 1:
        field = long_by(setting)
        setting = replace(setting, **{field: max(2, round(getattr(setting, field) * fraction))})
        began = time.process_time()
        module.measure(setting, True)
        print(json.dumps({"processor": 2 * (time.process_time() - began), "result": {}}))  # the control takes as long
        return
    began = time.process_time()
    result = measured(chosen, module, setting, Options(full=True))
    print(json.dumps({"processor": time.process_time() - began, "result": result}))


def long_by(setting: Any) -> str:
    """The field to which the time of a run is proportional; "" if there is none, as with the size of a matrix."""
    return next((name for name in LONG_BY if hasattr(setting, name)), "")


def pace(chosen: Entry, limit: float) -> str:
    """How long the whole would take, from two small parts of it."""
    setting = importlib.import_module(chosen.module).FULL
    field = long_by(setting)
    if not field:
        return "no part of it can be run"
    whole, longest = getattr(setting, field), 1.0
    for fractions in FRACTIONS:
        if fractions[0] >= longest:
            continue
        parts = [max(2, round(whole * fraction)) for fraction in fractions]
        if parts[0] == parts[1]:
            parts[1] += 1
        seconds = []
        for part in parts:
            spent, ended = started(chosen.id, limit, part / whole)
            if ended is None:
                longest = part / whole
                break
            seconds.append(spent)
        if len(seconds) == 2:
            slope = (seconds[1] - seconds[0]) / (parts[1] - parts[0])
            if slope <= 0:
                continue  # the parts are too small to tell it from what does not depend on them
            hours = (seconds[1] + slope * (whole - parts[1])) / 3600
            return f"{1 / slope:9.3g} {field}/s of {whole}: {hours:.2g} h"
    return f"{parts[0]} of {whole} {field} take more than {limit:.0f} s: over {limit * whole / parts[0] / 3600:.2g} h"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", default="")
    parser.add_argument("--limit", type=float, default=60)
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--one", default="")
    parser.add_argument("--fraction", type=float, default=1.0)
    given = parser.parse_args()
    if given.one:
        one(given.one, given.fraction, given.limit)
        return
    wanted = {name for name in given.only.split(",") if name}
    for chosen in entries():
        if wanted and chosen.id not in wanted:
            continue
        seconds, result = started(chosen.id, given.limit)
        if result is None:
            print(f"{chosen.id}  not in {given.limit:.0f} s  {pace(chosen, given.limit)}", flush=True)
            continue
        print(f"{chosen.id}  {result['verdict']:8} (swapped {result['swapped']}) in {seconds:.1f} s", flush=True)
        if given.keep:
            keep(result | {"seconds": round(seconds, 1)}, f"one core of {processor()}")


if __name__ == "__main__":
    main()
