"""The gallery of the lab: an index by topic, and a page for every claim with all that its verdict rests on.

It is written from the results' own JSON: plain numbers and texts, and the figures as inline SVG.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trainwell.report import words
from trainwell.report.page import fill, write_page

DECKS = {
    "K": "Important techniques",
    "R": "Training, initialization, normalization",
    "T": "Three tricks",
    "G": "Overview, regularization, double descent",
    "M": "Basic methods and tricks",
}
BADGES = {"holds": "holds", "in part": "part", "fails": "fails"}
MEANING = {
    "holds": "All checks of the claim pass, and without its cause they do not.",
    "in part": "Some checks of the claim pass, others do not.",
    "fails": "No check of the claim passes.",
    "defect": "The experiment itself is unsound: theory and measurement part, or the control does what the claim says.",
    "crashed": "The experiment did not come to its end.",
    "not run": "Something that the experiment needs is missing, data mostly.",
}
MARKS = {True: "✓", False: "✗"}
RELATIONS = {"equals": "=", "at_least": "≥", "at_most": "≤"}
Result = Mapping[str, Any]


def write_gallery(results: Sequence[Result], folder: str | os.PathLike[str]) -> Path:
    """Write ``index.html`` and a page for each result into a folder, and return the index.

    Args:
        results: what ``lab.run`` and ``lab.run_many`` give.
        folder: is made if it is not there.

    Raises:
        JobError: if a file cannot be written.
    """
    place = Path(folder)
    for result in results:
        write_page(render_claim(result), place / page_name(result))
    return write_page(render_index(results), place / "index.html")


def page_name(result: Result) -> str:
    """The file of a claim's page."""
    return f"{result['id'].lower()}.html"


def render_index(results: Sequence[Result]) -> str:
    """Return the list of all claims as HTML."""
    topics = {
        topic: [_row(r) for r in results if r["topic"] == topic] for topic in dict.fromkeys(r["topic"] for r in results)
    }
    counts = {verdict: sum(r["verdict"] == verdict for r in results) for verdict in MEANING}
    return fill(
        "gallery.html",
        "",
        "",
        topics=topics,
        decks=DECKS,
        counts=[(verdict, number, badge(verdict), MEANING[verdict]) for verdict, number in counts.items() if number],
        total=len(results),
    )


def render_claim(result: Result) -> str:
    """Return the page of one claim as HTML."""
    return fill(
        "claim.html",
        "",
        "",
        r={"sabotage": False, "error": "", "defects": [], "setting": {}, "versions": {}, "code": "", **result},
        decks=[(letter, DECKS[letter]) for letter in result["decks"]],
        badge=badge(result["verdict"]),
        meaning=MEANING[result["verdict"]],
        theory=[" ".join(part.split()) for part in result["theory"].split("\n\n") if part.strip()],
        checks=_checks(result),
        formula=Markup(result.get("formula", "")),
        figure=Markup(result.get("figure", "")),
        command=command(result),
        took=words.duration(result["seconds"]),
        full=_full(result),
        full_badge=badge((result.get("published") or {}).get("verdict", "")),
    )


def _full(result: Result) -> dict[str, Any] | None:
    """The kept result of the published setting, in words; None where there is none or this is it."""
    kept = result.get("published")
    if kept is None or result.get("full"):
        return None
    checks = [
        f"{MARKS[c['passed']]} {c['name']}: {_measured(c['worst'])} {RELATIONS[c['relation']]} "
        f"{words.number(c['worst']['reference'], 4)}"
        for c in kept["checks"]
    ]
    setting = ", ".join(f"{name} {value}" for name, value in kept["setting"].items())
    return {**kept, "took": words.duration(kept["seconds"]), "lines": checks, "words": setting}


def badge(verdict: str) -> str:
    """The class of a verdict's badge."""
    return BADGES.get(verdict, "unsound")


def command(result: Result) -> str:
    """The command that gives this result."""
    parts = ["trainwell lab run", result["id"], *(f"--{name}" for name in ("full", "sabotage") if result.get(name))]
    seed = result.get("setting", {}).get("seed", 0)
    return " ".join([*parts, *([f"--seed {seed}"] if seed else [])])


def _row(result: Result) -> dict[str, Any]:
    known = [DECKS[letter] for letter in result["decks"]]
    told = [result["id"], result["claim"], result["verdict"], *result["decks"], *known, result["source"]]
    return {"r": result, "page": page_name(result), "badge": badge(result["verdict"]), "text": " ".join(told)}


def _checks(result: Result) -> list[dict[str, Any]]:
    """The checks in words, with the same check of the control beside each."""
    rows = []
    for check, other in zip(result["checks"], _beside(result), strict=True):
        tolerance = check["tolerance"]
        rows.append(
            {
                **check,
                "measured": _measured(check["worst"]),
                "sign": RELATIONS[check["relation"]],
                "expected": words.number(check["worst"]["reference"], 4),
                "within": "exactly"
                if not tolerance
                else f"± {tolerance:g}"
                if check["absolute"]
                else f"± {100 * tolerance:.3g} %",
                "control": "" if other is None else f"{_measured(other['worst'])} {MARKS[other['passed']]}",
                "many": isinstance(check["value"], list),
            }
        )
    return rows


def _beside(result: Result) -> list[dict[str, Any] | None]:
    """The control's check for each: by place, or by name where the control has other checks; None if it has none."""
    checks, control = result["checks"], result.get("control", [])
    if len(checks) == len(control):
        return list(control)
    named = {check["name"]: check for check in control}
    return [named.get(check["name"]) for check in checks]


def _measured(worst: Mapping[str, Any]) -> str:
    """The measured number with its standard error, where it has one."""
    error = worst.get("error")
    return words.number(worst["value"], 4) + ("" if error is None else f" ± {words.number(error, 2)}")
