"""What a verb writes: results on stdout, all else on stderr.

A reader who has seen enough (``| head``) closes the pipe; that ends the command silently and is no failure.
"""

import json
import math
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO


def put(*lines: str) -> None:
    """Write lines of a result on stdout."""
    try:
        print(*lines, sep="\n", flush=True)
    except BrokenPipeError:
        _silence(sys.stdout)
        raise SystemExit(0) from None


def put_json(value: Any) -> None:
    """Write a result as one JSON object, in which what is not finite is null."""
    put(json.dumps(plain(value), indent=2, allow_nan=False))


def complain(message: str, remedy: str = "", label: str = "") -> None:
    """Write an error on stderr: what is wrong, and under it what to do."""
    try:
        indented = f"\n{' ' * len(label)}{remedy}" if remedy else ""
        print(f"{coloured(label, '1;31', sys.stderr)}{message}{indented}", file=sys.stderr, flush=True)
    except OSError:
        _silence(sys.stderr)


def plain(value: Any) -> Any:
    """The same value in JSON's types: no NumPy or torch scalars, no paths, None for NaN and infinities.

    Example:
        >>> plain({"loss": float("nan"), "shape": (1, 2)})
        {'loss': None, 'shape': [1, 2]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return plain(value.tolist()) if hasattr(value, "tolist") else str(value)


def columns(rows: Sequence[Sequence[str]], right: bool = True) -> list[str]:
    """Lines in which the cells of a column stand under each other.

    Args:
        right: align all columns but the first to the right.

    Example:
        >>> columns([["", "val"], ["accuracy", "0.98"]])
        ['            val', 'accuracy   0.98']
    """
    widths = [max(len(row[i]) for row in rows if i < len(row)) for i in range(max(map(len, rows), default=0))]
    return [
        "   ".join(
            cell.rjust(width) if right and i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    ]


def number(value: Any, digits: int = 5) -> str:
    """A measured value in significant digits; counts whole.

    Example:
        >>> number(0.98765432), number(12345), number(None)
        ('0.98765', '12345', '–')
        >>> number(0.5), number(123456.0)
        ('0.50000', '1.2346e+05')
    """
    if value is None or isinstance(value, str):
        return value or "–"
    return str(value) if isinstance(value, int) else f"{float(value):#.{digits}g}".rstrip(".")


def span(seconds: float) -> str:
    """A duration as one reads it.

    Example:
        >>> span(0.42), span(75.0), span(7384.0)
        ('0.4 s', '1 min 15 s', '2 h 03 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def quoted(path: object) -> str:
    """A path as one can paste it into a shell."""
    return shlex.quote(os.fspath(path) if isinstance(path, Path) else str(path))


def coloured(text: str, code: str, stream: TextIO) -> str:
    """The text in an ANSI style where the stream is a terminal and NO_COLOR is not set."""
    return f"\x1b[{code}m{text}\x1b[0m" if text and stream.isatty() and not os.environ.get("NO_COLOR") else text


def _silence(stream: TextIO) -> None:
    """Let the interpreter's last flush of a closed pipe go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
