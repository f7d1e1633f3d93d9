"""Marks for what a tool said of a program, and their totals: the rules of the shared clinic's ``score.py``."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from program import SuiteProgram

HARM = 0.05  # loss of score that counts as harm done to a healthy program
PASSES, SHARE = 300, 0.15  # an exam may take the larger of so many passes and this share of the program's own steps


@dataclass
class Report:
    """What happened when a tool examined a program and its cure was trained.

    Attributes:
        codes: named above ``info``, in order.
        errors: those of severity ``error``.
        before: score of the untouched program.
        cure: score of the cured one, or None where there is none.
        problem: why the cure does not count, or "".
        steps: of the program's own training.
        error: of the tool itself, or "".
    """

    codes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    before: float = 0.0
    cure: float | None = None
    problem: str = ""
    passes: float = 0.0
    seconds: float = 0.0
    steps: int = 0
    error: str = ""


@dataclass(frozen=True)
class Marks:
    """Marks of one program; those of a healthy one are ``alarm``, ``error`` and ``harmed``."""

    sick: bool
    named: int
    right: int
    causes: int = 0
    found: int = 0
    hit1: bool = False
    hit3: bool = False
    fair1: bool = False
    cured: bool = False
    alarm: bool = False
    error: bool = False
    harmed: bool = False


def judge(report: Report, program: SuiteProgram, gain: float) -> Marks:
    """Compare what was said with the truth.

    Args:
        report: of the examination.
        program: with its faults and symptoms.
        gain: of score that the true repair brings.
    """
    codes, faults = report.codes, program.faults
    fair = {*faults, *program.symptoms}
    named, right = len(codes), sum(code in fair for code in codes)
    if not faults:
        harmed = report.cure is not None and report.cure < report.before - HARM
        return Marks(False, named, right, alarm=named > 0, error=bool(report.errors), harmed=harmed)
    causes = len(program.causes) or 1
    known = sum(cause in codes for cause in program.causes) if program.causes else any(f in codes for f in faults)
    cured = False
    if report.cure is not None and not report.problem and report.cure > report.before:
        cured = report.cure >= program.good or report.cure - report.before >= gain / 2
    return Marks(
        True,
        named,
        right,
        causes,
        int(known),
        hit1=any(code in faults for code in codes[:1]),
        hit3=any(code in faults for code in codes[:3]),
        fair1=any(code in fair for code in codes[:1]),
        cured=cured,
    )


def share(part: Iterable[float], whole: float) -> float | None:
    return round(sum(part) / whole, 4) if whole else None


def totals(pairs: Sequence[tuple[Report, Marks]]) -> dict[str, float | int | None]:
    """Shares over all programs; None where there is none of the kind."""
    sick = [marks for _, marks in pairs if marks.sick]
    healthy = [marks for _, marks in pairs if not marks.sick]
    seconds = [report.seconds for report, _ in pairs]
    passes = [report.passes for report, _ in pairs]
    within = [report.passes <= max(PASSES, SHARE * report.steps) for report, _ in pairs]
    return {
        "sick": len(sick),
        "healthy": len(healthy),
        "hit1": share((m.hit1 for m in sick), len(sick)),
        "hit3": share((m.hit3 for m in sick), len(sick)),
        "fair1": share((m.fair1 for m in sick), len(sick)),
        "recall": share((m.found for m in sick), sum(m.causes for m in sick)),
        "precision": share((m.right for m in sick), sum(m.named for m in sick)),
        "cure_rate": share((m.cured for m in sick), len(sick)),
        "false_alarms": share((m.alarm for m in healthy), len(healthy)),
        "errors_on_healthy": sum(m.error for m in healthy),
        "harmed": share((m.harmed for m in healthy), len(healthy)),
        "passes_median": round(statistics.median(passes), 1) if passes else None,
        "passes_max": round(max(passes), 1) if passes else None,
        "within_budget": share(within, len(within)),
        "seconds_median": round(statistics.median(seconds), 2) if seconds else None,
        "seconds_max": round(max(seconds), 2) if seconds else None,
        "tool_errors": sum(bool(report.error) for report, _ in pairs),
    }


def same_verdict(verdicts: Sequence[Sequence[Sequence[str]]]) -> float | None:
    """Share of programs whose set of codes is the same under every seed.

    Args:
        verdicts: for each program, for each seed, its codes.
    """
    return share((len({frozenset(codes) for codes in seeds}) == 1 for seeds in verdicts), len(verdicts))


def by_code(judged: Sequence[tuple[SuiteProgram, Report, Marks]]) -> str:
    """A table: for each fault its programs, those where it was first, among three, named at all, and cured."""
    rows = [f"{'code':30s} programs first three named cured  alarms on healthy"]
    alarms = Counter(code for _, report, marks in judged if not marks.sick for code in report.codes)
    faults = sorted({fault for program, _, _ in judged for fault in program.faults} | set(alarms))
    for fault in faults:
        own = [(report, marks) for program, report, marks in judged if fault in program.faults]
        counts = [sum(fault in report.codes[:k] for report, _ in own) for k in (1, 3, None)]
        cured = sum(marks.cured for _, marks in own)
        numbers = f"{len(own):8d} {counts[0]:5d} {counts[1]:5d} {counts[2]:5d} {cured:5d} {alarms[fault]:18d}"
        rows.append(f"{fault:30s} {numbers}")
    return "\n".join(rows)
