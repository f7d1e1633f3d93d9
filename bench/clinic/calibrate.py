"""Calibrate the probes' priors: how often what they suspect is the matter, over the tuning half of the suite.

    python bench/clinic/calibrate.py [--jobs 2] [--half tuning] [--write]

Every probe looks at every program, healthy or sick, and nothing is tried. For each code, and each band of prior, the
table tells how many programs were suspected, how many of them have that fault, and how many are healthy: a prior of 0.6
should be right in about 6 of 10 cases. ``--write`` keeps all suspicions with their evidence in ``calibration.json``,
from which thresholds can be read: the largest value of a healthy program beside the least of a sick one.
"""

import argparse
import json
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from diagnosis import KEYS
from program import load_programs

PLACE = Path(__file__).with_name("calibration.json")
BANDS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.01)
Row = dict[str, Any]


def looked_at(name: str) -> list[Row]:
    """What all probes suspect of a program."""
    import trainwell as tw
    from trainwell.clinic.level import level_of
    from trainwell.clinic.meter import Meter
    from trainwell.clinic.probing import suspicions
    from trainwell.clinic.subject import Subject

    torch.set_num_threads(1)
    program = load_programs()[name]
    case = program.build(0, True)
    given = tw.Program(**{key: case[key] for key in KEYS if case.get(key) is not None}, task=program.task)
    subject = Subject(given, Meter(300))
    phases = ["contract", "structure"]
    if not subject.first_step.error:
        level_of(subject)
        phases += ["signal", "training"]
    return [
        {
            "program": name,
            "code": one.code,
            "prior": round(one.prior, 3),
            "certain": one.certain,
            "right": one.code in program.faults,
            "fair": one.code in (*program.faults, *program.symptoms),
            "healthy": not program.faults,
            "evidence": {key: value for key, value in one.evidence.items() if isinstance(value, int | float)},
        }
        for one in suspicions(subject, *phases)
    ]


def table(rows: list[Row]) -> list[str]:
    """A line for each code and band of prior."""
    groups: dict[tuple[str, int], list[Row]] = defaultdict(list)
    for row in rows:
        band = sum(row["prior"] >= edge for edge in BANDS) - 1
        groups[(row["code"], band)].append(row)
        groups[("all", band)].append(row)
    lines = [f"{'code':30} {'prior':>9} suspected  right  fair  healthy"]
    for (code, band), found in sorted(groups.items()):
        counts = [sum(row[key] for row in found) for key in ("right", "fair", "healthy")]
        span = f"{BANDS[band]:.1f}–{min(1.0, BANDS[band + 1]):.1f}"
        lines.append(f"{code:30} {span:>9} {len(found):9} {counts[0]:6} {counts[1]:5} {counts[2]:8}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--half", choices=["tuning", "held-out", "all"], default="tuning")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    names = [name for name, one in load_programs().items() if given.half in ("all", one.half)]
    with ProcessPoolExecutor(given.jobs) as pool:
        rows = [row for found in pool.map(looked_at, names) for row in found]
    print(f"{len(names)} programs of the half {given.half!r}", *table(rows), sep="\n")
    if given.write:
        PLACE.write_text("[\n" + ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows) + "\n]\n")


if __name__ == "__main__":
    main()
