"""An exam in plain text: root causes first, each with its symptoms folded below it, its evidence and its cure."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from trainwell.clinic.cure import Cure
from trainwell.clinic.finding import INFO, Finding
from trainwell.clinic.rehearsal import Rehearsal
from trainwell.report import words

if TYPE_CHECKING:
    from trainwell.clinic.exam import Exam

WIDTH = 100
MARKS = {"error": "✗", "warning": "!", "info": "·"}
SCORES = ("score before", "score with the cure")
BESIDE = "cured together with"
MOST_CHANGES = 6
LOW = 0.5  # score from which on a program without findings is called healthy in words


def text(exam: "Exam") -> str:
    """The whole exam, with what to call next."""
    hint = ["", "exam.cure() gives the cured program, exam.prove() the proof that it trains better."]
    return "\n".join([*lines(exam), *(hint if exam.cures else [])])


def lines(exam: "Exam") -> list[str]:
    """The whole exam, at most ``WIDTH`` characters wide."""
    causes = [finding for finding in exam.findings if finding.severity != INFO]
    asides = [finding for finding in exam.findings if finding.severity == INFO]
    found = [headline(exam), *_wrapped(cost(exam), "")]
    for finding in causes:
        found += ["", *_cause(finding)]
    if asides:
        found += ["", "Seen beside it, but it costs no quality that a rehearsal shows:"]
        for finding in asides:
            found += _wrapped(f"{MARKS[INFO]} {finding.code}: {finding.message}", "    ", "  ")
    return found


def headline(exam: "Exam") -> str:
    """The outcome in a sentence."""
    causes = [finding for finding in exam.findings if finding.severity != INFO]
    if not causes:
        level = exam.reasoned.level
        if level is not None and level.score < LOW:
            score = words.number(level.score, 3)
            return f"Nothing was found that a cure mends, though a rehearsal scores only {score}."
        return "Healthy: nothing was found that costs quality."
    if len(causes) == 1:
        return f"One cause was found: {causes[0].code}."
    return f"{len(causes)} causes were found: {', '.join(finding.code for finding in causes)}."


def runs(exam: "Exam") -> tuple[Rehearsal | None, Rehearsal | None]:
    """The rehearsals of the program as given and with all cures; None where there is none."""
    reasoned = exam.reasoned
    before = reasoned.level.run if reasoned.level is not None else None
    if not reasoned.accepted:
        return before, None
    last = reasoned.accepted[-1]
    stale = reasoned.cured is None or last.before is reasoned.cured  # the passes ended before the last cure's own look
    after = last.run if stale else reasoned.cured.run if reasoned.cured else None
    if _crashed(exam):
        return reasoned.accepted[0].before.run, None if after is not None and after.error else after
    return before, after


def _crashed(exam: "Exam") -> bool:
    accepted = exam.reasoned.accepted
    return bool(accepted and accepted[0].before.run.error)


def cost(exam: "Exam") -> str:
    """What was done for it, and what came of it."""
    told = f"{exam.passes:.0f} passes of one batch, {words.duration(exam.seconds)}."
    before, after = runs(exam)
    if before is None:
        return f"The program does not run as it is given. {told}"
    ran = "As given it does not run" if _crashed(exam) else f"Score in a rehearsal: {words.number(before.score, 3)}"
    cured = "" if after is None else f", with the cure{'s' * (len(exam.cures) > 1)} {words.number(after.score, 3)}"
    return f"{ran}{cured}. {told}"


def evidence(finding: Finding) -> list[str]:
    """The numbers in words: ``rate 5``; scores apart."""
    return [f"{name} {_value(value)}" for name, value in finding.evidence.items() if name not in SCORES]


def trial(finding: Finding) -> str:
    """What trying the cure did, or ""."""
    before, after = (finding.evidence.get(name) for name in SCORES)
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return ""
    if before == after:
        return ""
    other = finding.evidence.get(BESIDE)
    who = "The cure alone takes" if other is None else f"With that of {other} together, the cure takes"
    return f"{who} the score of a rehearsal from {before:.3g} to {after:.3g}."


def changes(cure: Cure) -> list[str]:
    """One line a change."""
    shown = [" ".join(str(change).split()) for change in cure.changes]
    return [*shown[:MOST_CHANGES], *([f"and {len(shown) - MOST_CHANGES} more"] if len(shown) > MOST_CHANGES else [])]


def _cause(finding: Finding) -> Iterator[str]:
    yield f"{MARKS[finding.severity]} {finding.severity}: {finding.code}, at {finding.where}"
    yield from _wrapped(f"{finding.message} {trial(finding)}".strip(), "  ")
    if evidence(finding):
        yield from _wrapped(f"Evidence: {', '.join(evidence(finding))}.", "    ", "  ")
    if finding.symptoms:
        yield from _wrapped(f"It explains: {', '.join(finding.symptoms)}.", "    ", "  ")
    if finding.cure is not None:
        yield from _wrapped(f"Cure: {finding.cure.name}", "    ", "  ")
        for line in changes(finding.cure):
            yield from _wrapped(line, "      ", "    ")
    if finding.because:
        yield from _wrapped(f"Why: {', '.join(finding.because)}.", "    ", "  ")


def _wrapped(line: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        line,
        WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return words.number(float(value)) if isinstance(value, int | float) else str(value).rstrip(".")


def plain_evidence(found: Mapping[str, object]) -> dict[str, str]:
    """Evidence as (name, words)."""
    return {name: _value(value) for name, value in found.items()}
