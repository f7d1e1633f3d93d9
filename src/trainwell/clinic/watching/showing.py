"""What the watch says: a sentence a finding, and all of it as text or for a notebook."""

import textwrap
from typing import TYPE_CHECKING

from trainwell.clinic import shown
from trainwell.clinic.codes import CODES
from trainwell.clinic.finding import INFO, Finding
from trainwell.report import words

if TYPE_CHECKING:
    from trainwell.clinic.watching.watch import Watch


def sentence(finding: Finding) -> str:
    """What is said the moment it happens."""
    return f"step {finding.evidence['step']}: {finding.code} at {finding.where}. {finding.message}"


def headline(watch: "Watch") -> str:
    """The outcome in a sentence."""
    steps = f"{words.count(watch.steps)} step{'s' * (watch.steps != 1)}"
    if not watch.findings:
        return f"Nothing was found in {steps}."
    return f"Found in {steps}: {', '.join(finding.code for finding in watch.findings)}."


def cost(watch: "Watch") -> str:
    """What the watch took."""
    pace = watch.pace
    return f"{pace.looks} close looks; the watch took {words.percent(pace.part)} of the time."


def text(watch: "Watch") -> str:
    """All findings, then what cannot be seen."""
    lines = [headline(watch), cost(watch)]
    for finding in watch.findings:
        lines += ["", f"{shown.MARKS[finding.severity]} {finding.severity}: {finding.code}, at {finding.where}"]
        lines += _wrapped(finding.message, "  ")
        lines += _wrapped(f"Evidence: {', '.join(shown.evidence(finding))}.", "    ", "  ")
        if finding.symptoms:
            lines += _wrapped(f"It explains: {', '.join(finding.symptoms)}.", "    ", "  ")
        lines += _wrapped(f"Cure: {CODES[finding.code].cured}.", "    ", "  ")
    if watch.blind:
        lines += ["", "What cannot be seen here:"]
        for one in watch.blind:
            lines += _wrapped(f"{shown.MARKS[INFO]} {one}", "    ", "  ")
    return "\n".join(lines)


def html(watch: "Watch") -> str:
    """What a notebook shows."""
    from trainwell.report.page import fill

    def shown_of(finding: Finding) -> dict[str, object]:
        return {
            "code": finding.code,
            "severity": finding.severity,
            "where": finding.where,
            "message": finding.message,
            "trial": "",
            "evidence": shown.plain_evidence(finding.evidence),
            "symptoms": list(finding.symptoms),
            "cure": CODES[finding.code].cured,
            "changes": [],
            "because": list(finding.because),
        }

    asides = [shown_of(f) for f in watch.findings if f.severity == INFO]
    asides += [{"code": "not seen", "message": one} for one in watch.blind]
    found = {"headline": headline(watch), "cost": cost(watch)}
    causes = [shown_of(f) for f in watch.findings if f.severity != INFO]
    return fill("exam_fragment.html", "", "", found=found, causes=causes, asides=asides, drawings=[])


def _wrapped(line: str, indent: str, first: str | None = None) -> list[str]:
    return textwrap.wrap(
        line,
        shown.WIDTH,
        initial_indent=indent if first is None else first,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
