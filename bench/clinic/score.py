"""Score a tool on the clinic's own suite: trainwell, or a baseline on the same programs.

    python bench/clinic/score.py [--half tuning|held-out|all] [--adapter trainwell|rules|random|silent]
                                 [--seeds 1] [--jobs 2] [--only PREFIX ...] [--json FILE]

Every program is examined in a process of its own with one thread, for at most 120 s; what the tool hands back as cured
is trained by the suite's own loop on at most twelve times the samples. Seconds are of the processor. With ``--seeds 5``
each program is also built and examined under the seeds 1 to 4, and the share with the same codes above ``info`` under
all seeds is told. Programs that ``truth.json`` does not verify are left out; where it knows nothing of a program, the
truth is measured.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from baselines import random_cure, rules
from diagnosis import Diagnosis, silent, trainwell
from loop import same_question, train
from marks import Marks, Report, by_code, judge, same_verdict, totals
from program import Case, SuiteProgram, load_programs

ADAPTERS: dict[str, Callable[[Case, str, int], Diagnosis]] = {
    "trainwell": trainwell,
    "rules": rules,
    "random": random_cure,
    "silent": silent,
}
TRUTH = Path(__file__).with_name("truth.json")
LIMIT, GRACE = 120, 150  # seconds for one diagnosis; for the trainings beside it
BUDGET = 12  # a cured case may see this many times the samples of the original


class TooSlowError(BaseException):
    """Not an Exception, so that no handler of the tool swallows it."""


def _ring(number: int, frame: Any) -> None:
    raise TooSlowError


def known_truth() -> dict[str, Any]:
    return json.loads(TRUTH.read_text()) if TRUTH.exists() else {}


def before_and_gain(program: SuiteProgram, entry: dict[str, Any] | None, seed: int) -> tuple[float, float]:
    """Score of the untouched program under this seed, and what the true repair gains (0 for a healthy one)."""
    if entry is not None and seed < len(entry["before"]):
        return entry["before"][seed]["score"], entry.get("gain", 0.0)
    before = train(program.build(seed, True), program.task, program.metric, seed).score
    if entry is not None or not program.faults:
        return before, (entry or {}).get("gain", 0.0)
    return before, train(program.build(seed, False), program.task, program.metric, seed).score - before


def diagnose(program: SuiteProgram, adapter: str, seed: int) -> tuple[Diagnosis, str, float]:
    """What the tool says, its own error if it raised one, and the processor's seconds that it took."""
    case = program.build(seed, True)
    signal.signal(signal.SIGALRM, _ring)
    signal.alarm(LIMIT)
    start, said, error = time.process_time(), Diagnosis(), ""
    try:
        said = ADAPTERS[adapter](case, program.task, seed)
    except TooSlowError:
        error = f"no diagnosis within {LIMIT} s"
    except Exception as raised:  # a tool that crashes is a silent one, and counted
        error = f"{type(raised).__name__}: {raised}"[:200]
    signal.alarm(0)
    return said, error, time.process_time() - start


def try_cure(program: SuiteProgram, cured: Case, seed: int) -> tuple[float, str]:
    """Score of the cured case, and why it does not count, or ""."""
    question = program.build(seed, True)
    if not same_question(question, cured, program.task):
        return 0.0, "asks another question"
    budget = BUDGET * len(question["train"][0]) * question["epochs"]
    run = train(cured, program.task, program.metric, seed, max_samples=budget)
    return run.score, run.error


def examine_one(name: str, adapter: str, seed: int, out: Path, with_cure: bool) -> None:
    """Runs in a process of its own: one program, one diagnosis; the report goes into the file ``out``."""
    torch.set_num_threads(1)
    program, entry = load_programs()[name], known_truth().get(name)
    report = Report()
    report.before, gain = before_and_gain(program, entry, seed) if with_cure else (0.0, 0.0)
    case = program.build(seed, True)
    report.steps = case["epochs"] * -(-len(case["train"][0]) // case["batch_size"])
    said, report.error, report.seconds = diagnose(program, adapter, seed)
    report.codes, report.errors, report.passes = said.alarms, said.errors, said.passes
    out.write_text(json.dumps({"report": asdict(report), "gain": gain}))  # kept, should the treatment hang
    if with_cure and said.cured is not None:
        report.cure, report.problem = try_cure(program, said.cured, seed)
        out.write_text(json.dumps({"report": asdict(report), "gain": gain}))


def examine(name: str, adapter: str, seed: int, with_cure: bool = True) -> tuple[Report, float]:
    """The report on one program and the gain of its true repair, from a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "report.json")
        command = [sys.executable, __file__, "--one", name, "--adapter", adapter, "--out", str(out)]
        command += ["--seed", str(seed)] + ([] if with_cure else ["--no-cure"])
        environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        error = "no report"
        try:
            finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=LIMIT + GRACE)
            error = (finished.stderr.strip().splitlines() or [error])[-1]
        except subprocess.TimeoutExpired:
            error = "killed: too slow"
        if not out.exists():
            return Report(error=error[:200]), 0.0
        told = json.loads(out.read_text())
        return Report(**told["report"]), told["gain"]


def line(name: str, program: SuiteProgram, report: Report, marks: Marks) -> str:
    if marks.sick:
        hit = "1" if marks.hit1 else "3" if marks.hit3 else "."
        told = f"{hit} {marks.found}/{marks.causes} {marks.right}/{marks.named} {'cured' if marks.cured else '-':5s}"
    else:
        told = f"{'ERROR' if marks.error else 'ALARM' if marks.alarm else 'calm '} {'HARM' if marks.harmed else '-'}"
    cure = "  -  " if report.cure is None else f"{report.cure:5.3f}"
    truth = f"  [truth: {', '.join(program.faults)}]" if marks.sick and not marks.hit1 else ""
    rest = "  ".join(x for x in (", ".join(report.codes) or "-", report.problem, report.error) if x)
    cost = f"{report.passes:5.0f} passes {report.seconds:5.1f} s"
    return f"{name:38s} {told:17s} {report.before:5.3f}->{cure} {cost}  {rest}{truth}"


def chosen_programs(half: str, only: Sequence[str]) -> tuple[dict[str, SuiteProgram], list[str]]:
    """Those to be examined, and those left out because their truth is not verified."""
    truth = known_truth()
    asked = {
        name: program
        for name, program in load_programs().items()
        if (half == "all" or program.half == half) and (not only or name.startswith(tuple(only)))
    }
    doubtful = [name for name in asked if name in truth and not truth[name]["verified"]]
    return {name: program for name, program in asked.items() if name not in doubtful}, doubtful


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--half", choices=["tuning", "held-out", "all"], default="all")
    parser.add_argument("--adapter", choices=sorted(ADAPTERS), default="trainwell")
    parser.add_argument("--seeds", type=int, default=1, help="examine under so many seeds and compare the verdicts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", nargs="*", default=[], help="id prefixes; default all")
    parser.add_argument("--json", type=Path, help="write all reports and the totals to this file")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--no-cure", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        examine_one(args.one, args.adapter, args.seed, args.out, not args.no_cure)
        return
    programs, doubtful = chosen_programs(args.half, args.only)
    judged: list[tuple[SuiteProgram, Report, Marks]] = []
    with ThreadPoolExecutor(args.jobs) as pool:
        examined = pool.map(lambda name: examine(name, args.adapter, 0), programs)
        for (name, program), (report, gain) in zip(programs.items(), examined, strict=True):
            judged.append((program, report, judge(report, program, gain)))
            print(line(name, *judged[-1]), flush=True)
        summary: dict[str, Any] = {"adapter": args.adapter, "half": args.half}
        summary |= totals([(report, marks) for _, report, marks in judged])
        if args.seeds > 1:
            jobs = [(name, seed) for name in programs for seed in range(1, args.seeds)]
            others = list(pool.map(lambda job: examine(job[0], args.adapter, job[1], False)[0].codes, jobs))
            rest = args.seeds - 1
            verdicts = [[r.codes, *others[i * rest : (i + 1) * rest]] for i, (_, r, _) in enumerate(judged)]
            summary["same_verdict"] = same_verdict(verdicts)
            for (name, _), seeds in zip(programs.items(), verdicts, strict=True):
                if len({frozenset(codes) for codes in seeds}) > 1:
                    print(f"{name:38s} differs: {' | '.join(', '.join(codes) or '-' for codes in seeds)}")
    print("", by_code(judged), "", sep="\n")
    if doubtful:
        print(f"left out, as truth.json does not verify them: {' '.join(doubtful)}")
    print(json.dumps(summary))
    if args.json:
        reports = {p.id: asdict(report) | {"marks": asdict(marks)} for p, report, marks in judged}
        args.json.write_text(json.dumps({"totals": summary, "programs": reports}, indent=1) + "\n")


if __name__ == "__main__":
    main()
