"""``trainwell explain``: the whole story of a code of the clinic."""

import textwrap
from typing import Annotated, Any

import typer

from trainwell.cli import options, output
from trainwell.errors import InputError

WIDTH = 100
LABEL = 14


def _codes(incomplete: str) -> list[str]:
    from trainwell.clinic.codes import CODES

    return [name for name in CODES if name.startswith(incomplete)]


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            metavar="[CODE]",
            help="A code of the exam, as dead-relu; all codes are listed if it is left out.",
            autocompletion=_codes,
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    traceback: options.Traceback = False,
) -> None:
    """Tell what a code of the exam means, how it is found and what cures it.

    Examples:

      trainwell explain
      trainwell explain dead-relu
      trainwell explain input-not-normalized --json
    """
    from trainwell.clinic.codes import CODES
    from trainwell.nearest_name import nearest

    if code is None:
        if json:
            output.put_json({"codes": [{"code": c.name, "meaning": c.meaning} for c in CODES.values()]})
        else:
            output.put(*output.columns([[c.name, c.meaning] for c in CODES.values()], right=False))
        return
    name = code.strip().lower().replace("_", "-")
    if name not in CODES:
        remedy = f"{nearest(name, CODES)} `trainwell explain` lists all.".strip()
        raise InputError(f"The clinic has no code {code!r}.", remedy)
    story = _story(CODES[name])
    if json:
        output.put_json(story)
    else:
        output.put(*_lines(story))


def _story(code: Any) -> dict[str, Any]:
    """The code in JSON's types, with the claims of the lab's experiments."""
    from trainwell.clinic.codes import CODES
    from trainwell.lab.catalogue import entries

    claims = {entry.id: entry.claim for entry in entries()}
    known = [{"id": one, "claim": claims[one]} for one in code.because if one in claims]
    return {
        "code": code.name,
        "meaning": code.meaning,
        "detected": code.detected,
        "cured": code.cured,
        "explains": [name for name in CODES if name in code.explains],
        "explained_by": [other.name for other in CODES.values() if code.name in other.explains],
        "experiments": known,
        "sources": [one for one in code.because if one not in claims],
    }


def _lines(story: dict[str, Any]) -> list[str]:
    lines = [story["code"], "", *_told("", story["meaning"]), ""]
    lines += [*_told("Detected by", f"{story['detected']}."), *_told("Cured by", f"{story['cured']}.")]
    if story["explains"]:
        lines += _told("It explains", ", ".join(story["explains"]))
    if story["explained_by"]:
        lines += _told("Explained by", ", ".join(story["explained_by"]))
    for experiment in story["experiments"]:
        lines += _told(experiment["id"], f"{experiment['claim']}.")
    if story["sources"]:
        lines += _told("Sources", "; ".join(story["sources"]))
    if story["experiments"]:
        lines += ["", f"trainwell lab run {story['experiments'][0]['id']} measures it."]
    return lines


def _told(label: str, text: str) -> list[str]:
    indent = " " * LABEL if label else ""
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=f"{label:<{LABEL}}" if label else "",
        subsequent_indent=indent,
        break_on_hyphens=False,
    )
