"""From an exception to what the user reads and to the exit code."""

import difflib
import signal
import sys
import traceback as tracebacks

from trainwell.cli import output
from trainwell.errors import InputError, JobError

WHERE = "--traceback shows where."


def report(error: BaseException, *, json: bool, traceback: bool) -> int:
    """Say on stderr (with ``json`` also as one object on stdout) what went wrong.

    Returns:
        The exit code: 0 for an exit that is none, 1 for a failed job, 2 for wrong input, 128 + number for a signal.
    """
    import typer

    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    if isinstance(error, typer.Exit):
        return error.exit_code
    message, remedy, code = _told(error)
    if traceback:
        output.complain("".join(tracebacks.format_exception(error)).rstrip())
    output.complain(message, remedy, label="Error: " if code in (1, 2) else "")
    if json:
        output.put_json({"error": {"message": message, "remedy": remedy}})
    return code


def _told(error: BaseException) -> tuple[str, str, int]:
    """The message, the remedy and the exit code of an exception."""
    import typer

    stopping = sys.modules.get("trainwell.training.stopping")  # never imported: no run, so no Stopped
    if stopping is not None and isinstance(error, stopping.Stopped):
        return *_stopped(error), 128 + int(error.signum)
    if isinstance(error, typer.Abort | KeyboardInterrupt):
        return "Stopped by SIGINT.", "Start it again when you like.", 128 + signal.SIGINT
    if isinstance(error, InputError):
        return error.message, error.remedy, 2
    if isinstance(error, JobError):
        return error.message, f"{error.remedy} {WHERE}".strip(), 1
    if isinstance(error, typer.TyperException):
        return *_usage(error), int(error.exit_code)
    if isinstance(error, Exception):
        return f"{type(error).__name__}: {_first_line(error)}", WHERE, 1
    raise error


def _stopped(error: BaseException) -> tuple[str, str]:
    name, folder = signal.Signals(error.signum).name, getattr(error, "folder", None)  # type: ignore[attr-defined]
    if folder is None:
        return f"Stopped by {name} before anything was saved.", "Start it again when you like."
    return f"Stopped by {name}; the run is saved in {folder}.", f"Go on with: trainwell resume {output.quoted(folder)}"


def _usage(error: Exception) -> tuple[str, str]:
    """What is wrong with the words of the command line, and the nearest right one."""
    context, wrong = getattr(error, "ctx", None), getattr(error, "option_name", None)
    near = difflib.get_close_matches(str(wrong), getattr(error, "possibilities", None) or (), n=1)
    message = error.message if wrong else error.format_message()  # type: ignore[attr-defined]
    suggestion = f"Did you mean {near[0]}? " if near else ""
    command = context.command_path if context is not None else "trainwell"
    return f"{message.rstrip('.')}.", f"{suggestion}`{command} --help` shows what it takes."


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no message").splitlines()[0]
