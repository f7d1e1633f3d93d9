"""Train every program of the suite as given and as repaired, and check that its truth holds; writes ``truth.json``.

A sick program is verified if the repair reaches ``good`` on every seed, beats the sick one on every seed, and the sick
one stays on every seed below ``good`` or 0.08 below its repair; with several independent causes, repairing all must
beat leaving any one of them in by 0.05 in the median. A healthy one must reach ``good`` on every seed.

    python bench/clinic/truth.py [ID PREFIX ...] [--file rates] [--seeds 3] [--jobs 2] [--judge]
"""

import argparse
import json
import multiprocessing
from collections import defaultdict
from pathlib import Path
from statistics import median
from typing import Any

import torch
from loop import train
from program import Case, SuiteProgram, load_programs

OUT = Path(__file__).with_name("truth.json")
MARGIN, ALONE, SLOW = 0.08, 0.05, 12.0  # score; score; seconds of one training


def runs(entry: SuiteProgram, cases: list[Case]) -> list[dict[str, Any]]:
    """One training of each case, with its seed."""
    told = []
    for seed, case in enumerate(cases):
        run = train(case, entry.task, entry.metric, seed)
        losses = [float(f"{value:.4g}") for value in (run.first, run.last)]
        told.append(
            {
                "score": round(run.score, 4),
                "train_score": round(run.train_score, 4),
                "seconds": round(run.seconds, 2),
                "losses": losses,
                "error": run.error,
            }
        )
    return told


def scores(told: list[dict[str, Any]]) -> list[float]:
    return [run["score"] for run in told]


def check(job: tuple[str, int]) -> tuple[str, dict[str, Any]]:
    """The truth about one program: its scores and what is wrong with them."""
    torch.set_num_threads(1)
    name, seeds = job
    entry = load_programs()[name]
    told: dict[str, Any] = {"before": runs(entry, [entry.build(seed, True) for seed in range(seeds)])}
    if entry.faults:
        told["after"] = runs(entry, [entry.build(seed, False) for seed in range(seeds)])
    if entry.build_with is not None:
        told["one_left"] = {}
        for cause in entry.causes:
            cases = [entry.build_with(seed, frozenset([cause])) for seed in range(seeds)]
            told["one_left"][cause] = scores(runs(entry, cases))
    return name, judged(entry, told)


def judged(entry: SuiteProgram, told: dict[str, Any]) -> dict[str, Any]:
    """The scores with what the program says of itself and whether they bear it out."""
    truth: dict[str, Any] = {"faults": list(entry.faults), "symptoms": list(entry.symptoms), "task": entry.task}
    truth.update(metric=entry.metric, half=entry.half, good=entry.good)
    truth.update({key: told[key] for key in ("before", "after", "one_left") if key in told})
    problems = _sick_problems(entry, truth) if "after" in told else []
    if "after" not in told and min(scores(told["before"])) < entry.good:
        problems.append(f"a healthy run scores below {entry.good}")
    for cause, left in told.get("one_left", {}).items():
        if median(scores(told["after"])) - median(left) < ALONE:
            problems.append(f"{cause} alone does little harm ({median(left)})")
    if max(run["seconds"] for run in told["before"] + told.get("after", [])) > SLOW:
        problems.append("too slow")
    truth.update(verified=not problems, problems=problems)
    return truth


def _sick_problems(entry: SuiteProgram, truth: dict[str, Any]) -> list[str]:
    before, after = scores(truth["before"]), scores(truth["after"])
    truth["gain"] = round(median(after) - median(before), 4)
    problems = []
    if min(after) < entry.good:
        problems.append(f"a repaired run scores below {entry.good}")
    if truth["gain"] < MARGIN:
        problems.append(f"gain {truth['gain']} below {MARGIN}")
    if any(a <= b for a, b in zip(after, before, strict=True)):
        problems.append("the repair loses on some seed")
    if any(b >= entry.good and a - b < MARGIN for a, b in zip(after, before, strict=True)):
        problems.append("a sick run is as good as a repaired one")
    return problems


def line(name: str, truth: dict[str, Any]) -> str:
    before = " ".join(f"{value:.2f}" for value in scores(truth["before"]))
    after = " ".join(f"{value:.2f}" for value in scores(truth.get("after", []))) or "(healthy)"
    slow = max(run["seconds"] for run in truth["before"] + truth.get("after", []))
    errors = {run["error"][:60] for run in truth["before"] + truth.get("after", [])} - {""}
    rest = "; ".join([*truth["problems"], *errors, str(truth.get("one_left", ""))])
    mark = "ok " if truth["verified"] else "BAD"
    return f"{mark} {name:34s} {before} -> {after} (≥ {truth['good']})  {slow:.1f} s {rest}"


def saved() -> dict[str, Any]:
    return json.loads(OUT.read_text()) if OUT.exists() else {}


def save(truth: dict[str, Any]) -> None:
    lines = [f"{json.dumps(name)}: {json.dumps(truth[name])}" for name in sorted(truth)]  # a line each: diffs are short
    OUT.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def census(known: dict[str, SuiteProgram], truth: dict[str, Any]) -> str:
    """Verified sick programs per code, in each half."""
    held: dict[str, dict[str, int]] = defaultdict(lambda: {"tuning": 0, "held-out": 0})
    for name, entry in known.items():
        for fault in entry.faults if truth.get(name, {}).get("verified") else ():
            held[fault][entry.half] += 1
    rows = [f"{code:30s} {both['tuning']:3d} {both['held-out']:3d}" for code, both in sorted(held.items())]
    return "\n".join([f"{'verified, code':30s} tun held", *rows])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="id prefixes; default all")
    parser.add_argument("--file", help="only the programs of programs/FILE.py")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--judge", action="store_true", help="train nothing: judge the saved scores anew")
    args = parser.parse_args()
    known = load_programs()
    chosen = [
        name
        for name, entry in known.items()
        if not args.file or (entry.build_with or entry.build).__module__ == f"programs.{args.file}"
    ]
    if args.only:
        chosen = [name for prefix in args.only for name in chosen if name.startswith(prefix)]
    if not args.judge:
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            for name, told in pool.imap(check, [(name, args.seeds) for name in chosen]):
                print(line(name, told), flush=True)
                save(saved() | {name: told})
    truth = {name: judged(known[name], told) for name, told in saved().items() if name in known}
    if args.judge or not (args.only or args.file):
        save(truth)  # what no longer exists is forgotten
    print(census(known, truth))
    bad = [name for name in known if not truth.get(name, {}).get("verified")]
    print(f"{len(known)} programs, {len(known) - len(bad)} verified; not verified: {' '.join(bad) or 'none'}")


if __name__ == "__main__":
    main()
