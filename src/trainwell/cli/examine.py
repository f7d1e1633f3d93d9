"""``trainwell examine``: why the user's own training program does not train, what cures it, and the proof."""

import contextlib
import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from trainwell.cli import options, output
from trainwell.cli.display import Callback, shown
from trainwell.errors import InputError, JobError

STYLES = {"✗ error": "1;31", "! warni": "1;33", "Healthy": "1;32", "Proved:": "1;32"}  # by how a line begins


def examine(
    program: Annotated[
        str,
        typer.Argument(
            metavar="FILE.py:FUNCTION",
            help="Your function that returns a trainwell.Program, or its fields as a dict. The file is run.",
            show_default=False,
        ),
    ],
    cure: Annotated[bool, typer.Option("--cure", metavar="", help="Show the cure as a patch of your source.")] = False,
    prove: Annotated[
        bool, typer.Option("--prove", metavar="", help="Train in full as given and as cured, with three seeds.")
    ] = False,
    patch: Annotated[
        Path | None,
        typer.Option(metavar="OUT.diff", help="Write the patch of your source there.", show_default=False),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", metavar="", help="Change your file; without it, it is never touched.")
    ] = False,
    html: Annotated[
        Path | None,
        typer.Option(metavar="PAGE", help="Write a page with pictures there.", show_default=False),
    ] = None,
    effort: Annotated[
        float, typer.Option(parser=options.decimal, metavar="X", help="Factor on what the exam may cost.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(parser=options.whole, metavar="N", help="Seed of all random numbers.")] = 0,
    json: options.Json = False,
    quiet: options.Quiet = False,
    traceback: options.Traceback = False,
) -> None:
    """Say why your own program does not train, cure it, prove the cure.

    Your file is run, since you name it; your model, data and file stay as they are. Causes come first, with what they
    explain folded below them; each cure has been tried on a copy.

    Examples:

      trainwell examine mynet.py:program
      trainwell examine mynet.py:program --cure --prove
      trainwell examine mynet.py:program --patch cure.diff --html exam.html
      trainwell examine mynet.py:program --write
    """
    file = _checked(program, patch, html)
    from trainwell.clinic.exam import examine as run
    from trainwell.training.state import Teller

    with _watched(quiet) as callbacks:
        teller = Teller(callbacks)
        given = _program_of(program, seed)
        teller.stage("examining")
        exam = run(given, effort=effort, seed=seed)
        proof = None
        if prove:
            proof = exam.prove(told=lambda share, left: teller.stage("proving the cure", share))
        found = _patch(exam, proof, file, program) if cure or patch or write else None
        if html is not None:
            exam.save_html(html, proof)
    wrote = _written(found, patch, write, exam, proof)
    if json:
        output.put_json(_as_json(exam, proof, found))
        return
    from trainwell.clinic.shown import lines

    told = lines(exam)
    told += ["", *str(proof).splitlines()] if proof is not None else []
    told += ["", *str(found).splitlines()] if found is not None and cure and str(found) else []
    told += ["", *wrote, *([f"Page          {output.quoted(html)}"] if html else [])] if wrote or html else []
    if exam.cures and not (cure or patch or write):
        told += ["", f"trainwell examine {output.quoted(program)} --cure shows the cure as a patch of your source."]
    output.put(
        *(output.coloured(line, STYLES.get(line[:7], ""), sys.stdout) if _styled(line) else line for line in told)
    )


def _styled(line: str) -> bool:
    return line[:7] in STYLES


@contextlib.contextmanager
def _watched(quiet: bool) -> Iterator[tuple[Callback, ...]]:
    """Callbacks that show progress, on a terminal with the time that is left; what user code prints goes to stderr."""
    if quiet or not sys.stderr.isatty():
        with shown(quiet) as callbacks:
            yield callbacks
    else:
        from trainwell.cli.race import watched

        with watched(quiet) as callbacks:
            yield callbacks


def _checked(program: str, patch: Path | None, html: Path | None) -> Path:
    """The user's file.

    Raises:
        InputError: for words that name none, or outputs that would overwrite it.
    """
    path, _, function = program.rpartition(":")
    if not path.endswith(".py") or not function.isidentifier():
        raise InputError(f"{program!r} names no function of a file.", "Write FILE.py:FUNCTION, as in mynet.py:program.")
    file = Path(path).expanduser()
    for name, place in (("--patch", patch), ("--html", html)):
        if place is not None and place.resolve() == file.resolve():
            raise InputError(f"{name} {place} is the file that is examined.", "Name another file.")
    if html is not None and html.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"--html {html}: a page is written as .html.", "Name the file accordingly.")
    return file


def _program_of(name: str, seed: int) -> Any:
    """The program that the user's function makes; it is given the seed if it wants one.

    Raises:
        InputError: if it fails or gives no program.
    """
    from trainwell.nearest_name import nearest
    from trainwell.training.program import Program
    from trainwell.training.userfile import load_function

    function = load_function(name)
    needed = [p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind <= 1]
    if [p.name for p in needed] not in ([], ["seed"]):
        raise InputError(
            f"{name} needs {', '.join(p.name for p in needed)}.", "Name a function without arguments (or with `seed`)."
        )
    try:
        found = function(*[seed][: len(needed)])
    except Exception as error:  # whatever a stranger's function raises
        raise InputError(f"{name} failed: {type(error).__name__}: {error}.", "Mend the function.") from error
    if isinstance(found, Program):
        return found
    if not isinstance(found, Mapping):
        raise InputError(
            f"{name} gives {type(found).__name__}.", "Return a trainwell.Program, or its fields as a dict."
        )
    for key in found:
        if key not in Program.__dataclass_fields__:
            remedy = nearest(str(key), Program.__dataclass_fields__, "`trainwell.Program` lists the fields.")
            raise InputError(f"{name}: a program has no field {key!r}.", remedy)
    missing = [key for key in ("model", "train", "loss", "optimizer") if key not in found]
    if missing:
        raise InputError(f"{name}: the program lacks {', '.join(missing)}.", "Add it to the dict.")
    return Program(**found)


def _patch(exam: Any, proof: Any, file: Path, program: str) -> Any:
    """The patch of the cure; of the one that won, where it was proved."""
    from trainwell.clinic.patch import patch

    cures = None
    if proof is not None and proof.cured:
        best = proof.best
        cures = None if set(best.codes) == {t.suspicion.code for t in exam.reasoned.accepted} else [best.cure]
    return patch(exam, file, program.rpartition(":")[2], cures)


def _written(found: Any, place: Path | None, write: bool, exam: Any, proof: Any) -> list[str]:
    """Write what was asked for; lines that say where it is."""
    if found is None:
        return []
    said = []
    if place is not None:
        _put_into(place, f"{found}\n" if str(found) else "")
        said.append(f"Patch         {output.quoted(place)}")
    if not write:
        return said
    if proof is not None and exam.cures and not proof.cured:
        return [*said, f"Unchanged     {output.quoted(found.path)}: the cure did not win."]
    if not found.diff:
        why = "its lines were not found in it" if found.by_hand else "there is nothing to cure"
        return [*said, f"Unchanged     {output.quoted(found.path)}: {why}."]
    from trainwell.clinic.patch import write as into_file

    into_file(found)
    return [*said, f"Changed       {output.quoted(found.path)}", *found.comments()]


def _put_into(place: Path, text: str) -> None:
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(text.encode())
        os.replace(unfinished, place)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise JobError(f"{place} could not be written: {error.strerror}.", "Name a folder you may write to.") from error


def _as_json(exam: Any, proof: Any, found: Any) -> dict[str, Any]:
    told = dict(exam.to_dict())
    if proof is not None:
        told["proof"] = proof.to_dict()
    if found is not None:
        told["patch"] = {"diff": found.diff, "by_hand": [str(change) for change in found.by_hand]}
    return told
