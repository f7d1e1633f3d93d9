"""``trainwell lab``: the experiments behind the lectures' claims: list them, run one, run all, write the gallery."""

import signal
from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.cli import options, output
from trainwell.cli.display import shown
from trainwell.errors import InputError

DOES = ("list", "run", "all")


def lab(
    what: Annotated[str, typer.Argument(metavar="list|run|all", help="What to do.", show_default=False)],
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]…", help="Experiments to run, as S05.", show_default=False)
    ] = None,
    full: Annotated[bool, typer.Option("--full", metavar="", help="The published setting; may take hours.")] = False,
    seed: Annotated[
        int | None,
        typer.Option(parser=options.whole, metavar="N", help="Seed of all random numbers.", show_default=False),
    ] = None,
    sabotage: Annotated[
        bool, typer.Option("--sabotage", metavar="", help="Put the control in the measured place: must not hold.")
    ] = False,
    again: Annotated[bool, typer.Option("--again", metavar="", help="Measure even what is remembered.")] = False,
    jobs: Annotated[int, typer.Option(parser=options.whole, metavar="N", help="all: processes at a time.")] = 2,
    groups: Annotated[
        str, typer.Option(metavar="S,N,…", help="list, all: only these groups.", show_default=False)
    ] = "",
    html: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="run, all: write the gallery of pages there.", show_default=False),
    ] = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Run the lectures' claims as experiments: prediction, measurement, control, verdict.

    Each claim is measured with its cause and without it (the control). It holds if all its checks pass and those of
    the control do not. Results are remembered until the experiment, what it imports, or a version changes.

    Examples:

      trainwell lab list
      trainwell lab run S05
      trainwell lab run S05 --sabotage --json
      trainwell lab all --jobs 2 --groups S --html gallery/
    """
    letters = tuple(part.strip() for part in groups.split(",") if part.strip())
    _check_words(what, ids, jobs)
    from trainwell.lab.catalogue import entries, entry
    from trainwell.lab.single import Options

    if what == "list":
        _list(entries(letters), json)
        return
    how = Options(full=full, seed=seed, sabotage=sabotage, again=again)
    chosen = [entry(name) for name in ids or ()] if what == "run" else entries(letters)
    _run(chosen, how, jobs, html, json, quiet, one=what == "run" and len(chosen) == 1)


def _check_words(what: str, ids: list[str] | None, jobs: int) -> None:
    if what not in DOES:
        raise InputError(f"`trainwell lab` cannot {what!r}.", f"It knows {', '.join(DOES)}: `trainwell lab run S05`.")
    if what == "run" and not ids:
        raise InputError("`trainwell lab run` needs an experiment.", "Name one, as in `trainwell lab run S05`.")
    if what != "run" and ids:
        raise InputError(f"`trainwell lab {what}` takes no ids, but got {' '.join(ids)}.", "Use `trainwell lab run`.")
    if jobs < 1:
        raise InputError(f"--jobs is {jobs}.", "Give 1 or more.")


def _list(found: list[Any], json: bool) -> None:
    if json:
        names = ("id", "claim", "decks", "topic", "source")
        output.put_json({"experiments": [{name: getattr(one, name) for name in names} for one in found]})
    else:
        rows = [[one.id, "".join(one.decks), one.topic, one.claim] for one in found]
        output.put(*output.columns([["id", "decks", "topic", "claim"], *rows], right=False))


def _run(chosen: list[Any], how: Any, jobs: int, html: Path | None, json: bool, quiet: bool, one: bool) -> None:
    from trainwell.lab.many import CRASHED, NOT_RUN, run_many
    from trainwell.lab.single import unsound

    with shown(quiet=True):
        found = run_many(chosen, how, jobs=jobs, told=_silent if quiet else _tell)
    if json:
        results = [_without_pictures(result) for result in found.results]
        output.put_json(results[0] if one and results else {"experiments": results})
    else:
        output.put(*(lines(found.results[0]) if one and found.results else table(found.results)))
    if html is not None and found.results:
        from trainwell.lab.full_results import kept
        from trainwell.report.gallery_page import write_gallery

        place = write_gallery([result | {"published": kept(result["id"])} for result in found.results], html)
        if not json:
            output.put("", f"Gallery       {output.quoted(place)}")
    if found.stopped is not None:
        name = signal.Signals(found.stopped).name
        output.complain(f"Stopped by {name}; what was measured is remembered.", "The same command goes on from here.")
        raise typer.Exit(128 + found.stopped)
    if any(result["verdict"] in (CRASHED, NOT_RUN) or unsound(result) for result in found.results):
        raise typer.Exit(1)


def _tell(result: dict[str, Any], done: int, all: int) -> None:
    """A line of progress on stderr."""
    import sys

    took = "remembered" if result.get("remembered") else output.span(result["seconds"])
    print(f"{done}/{all}  {result['id']}  {result['verdict']}  {took}", file=sys.stderr, flush=True)


def _silent(result: dict[str, Any], done: int, all: int) -> None:
    """Say nothing."""


def _without_pictures(result: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in result.items() if name not in ("figure", "formula", "code")}


def table(results: list[dict[str, Any]]) -> list[str]:
    """A row for each result."""
    rows = [[r["id"], r["verdict"], output.span(r["seconds"]), r["claim"]] for r in results]
    notes = [f"{r['id']}: {note}" for r in results for note in _notes(r)]
    return [*output.columns([["id", "verdict", "took", "claim"], *rows], right=False), *(["", *notes] if notes else [])]


def lines(result: dict[str, Any]) -> list[str]:
    """One result: claim, checks, verdict."""
    from trainwell.report.gallery_page import MARKS

    rows = [[MARKS[c["passed"]], c["about"], c["name"], *_numbers(c)] for c in result["checks"]]
    heading = ["", "about", "check", "measured", "", "reference", "tolerance"]
    told = [f"{result['id']}  {result['claim']}", ""]
    if rows:
        told += [*output.columns([heading, *rows], right=False), ""]
    if result.get("sabotage"):
        told.append(
            "The control stands in the measured place: the theory of the cause does not count, nothing may hold."
        )
    return [*told, f"Verdict       {result['verdict']}, {output.span(result['seconds'])}", *_notes(result)]


def _numbers(check: dict[str, Any]) -> list[str]:
    from trainwell.report.gallery_page import RELATIONS

    tolerance = f"{check['tolerance']:g}" if check["absolute"] else f"{100 * check['tolerance']:.3g} %"
    worst = check["worst"]
    error = worst.get("error")
    return [
        output.number(worst["value"], 4) + ("" if error is None else f" ± {output.number(error, 2)}"),
        RELATIONS[check["relation"]],
        output.number(worst["reference"], 4),
        tolerance,
    ]


def _notes(result: dict[str, Any]) -> list[str]:
    error = [result["error"]] if result.get("error") else []
    return [*error, *(f"Defect: {defect}." for defect in result.get("defects", ()))]
