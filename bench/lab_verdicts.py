"""Verdicts of the lab's experiments over seeds, and those with the control in the measured place.

    python bench/lab_verdicts.py [--groups S,N,R] [--seeds 5] [--jobs 2] [--only S05,N12]

A row an experiment: the verdict of each seed, whether all agree, the swapped verdicts, and the mean seconds of one
thread. An experiment is sound where all seeds agree, none is a defect, and no control holds.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from trainwell.lab.catalogue import entries
from trainwell.lab.many import run_many
from trainwell.lab.single import Options

SHORT = {"holds": "h", "in part": "p", "fails": "f", "defect": "DEFECT", "crashed": "CRASHED", "not run": "-"}


def row(name: str, results: Sequence[dict[str, Any]]) -> tuple[str, bool]:
    """The line of one experiment, and whether it is sound."""
    verdicts = [r["verdict"] for r in results]
    swapped = [r.get("swapped", r["verdict"]) for r in results]
    sound = len(set(verdicts)) == 1 and verdicts[0] in ("holds", "in part", "fails") and "holds" not in swapped
    seconds = sum(r["seconds"] for r in results) / len(results)
    shown = [" ".join(SHORT[v] for v in column) for column in (verdicts, swapped)]
    return f"{name}  {shown[0]:<12} {shown[1]:<12} {seconds:6.1f} s  {'' if sound else 'UNSOUND'}", sound


def tell(result: dict[str, Any], done: int, all: int) -> None:
    """One line as each comes."""
    print(f"  {done}/{all}  {result['id']}  {result['verdict']}  {result['seconds']:.0f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--groups", default="")
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=2)
    given = parser.parse_args()
    wanted = {name for name in given.only.split(",") if name}
    chosen = [one for one in entries(tuple(filter(None, given.groups.split(",")))) if not wanted or one.id in wanted]
    runs = {one.id: list[dict[str, Any]]() for one in chosen}
    for seed in range(given.seeds):
        print(f"seed {seed}", flush=True)
        for result in run_many(chosen, Options(seed=seed), jobs=given.jobs, told=tell).results:
            runs[result["id"]].append(result)
    print("\nid   verdicts     swapped      seconds")
    rows = [row(name, results) for name, results in runs.items() if results]
    print(*(line for line, _ in rows), sep="\n")
    print(f"{sum(sound for _, sound in rows)} of {len(rows)} are sound on {given.seeds} seeds")


if __name__ == "__main__":
    main()
