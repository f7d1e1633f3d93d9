"""The frame of the command line: signals first, then the verb, then one exit code.

0 done, 1 the job failed, 2 the user's input was wrong, 130 and 143 stopped by SIGINT and SIGTERM. Nothing heavy is
imported here: a signal that comes while a verb imports torch already ends in one sentence.
"""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from trainwell.cli import failures, signals

PROGRAM = "trainwell"
COMPLETION = "_TRAINWELL_COMPLETE"


def console() -> NoReturn:
    """Run the command line as a process of its own, which ends with its exit code."""
    sys.exit(main(ending=True))


def main(arguments: Sequence[str] | None = None, *, ending: bool = False) -> int:
    """Run the command line and return its exit code.

    Args:
        arguments: what follows the program's name; ``sys.argv[1:]`` if None.
        ending: the process ends after this: signals are ignored from then on, since torch takes most of a second to be
            taken down, and all is done.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = words[: words.index("--")] if "--" in words else words
    json = "--json" in options
    with signals.before_training(json, ending=ending):
        _settle_encodings()
        try:
            _run(words)
        except BaseException as error:
            return failures.report(error, json=json, traceback="--traceback" in options)
    return 0


def _run(words: list[str]) -> None:
    from trainwell.cli.verbs import command_line

    group = command_line()
    if COMPLETION in os.environ:
        group.main(prog_name=PROGRAM, complete_var=COMPLETION)
    with group.make_context(PROGRAM, words or ["--help"]) as context:
        group.invoke(context)


def _settle_encodings() -> None:
    """Files and pipes get UTF-8; a terminal that knows no ★ shows a question mark instead of ending the job."""
    for stream in (sys.stdout, sys.stderr):
        if not hasattr(stream, "reconfigure"):
            continue
        if stream.isatty() or "PYTHONIOENCODING" in os.environ:
            stream.reconfigure(errors="replace")
        else:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
