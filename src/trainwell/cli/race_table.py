"""Tables that keep within the width of the terminal: cells are broken over lines, or columns are left out."""

import io
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from trainwell.cli import output

if TYPE_CHECKING:
    from trainwell.search import Race

PLAIN = 120  # characters of a line where stdout is no terminal
LEAST_COLUMNS = ("ms/step", "memory", "train loss", "outcome", "val loss", "s to target", "seconds", "steps")
"""What is left out of a table that is too wide, in this order."""


def lines(header: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> list[str]:
    """The table's lines, none wider than the terminal.

    Args:
        right: names of the columns that are aligned to the right and never broken.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in header:
        number = name in right
        table.add_column(Text(name), justify="right" if number else "left", no_wrap=number, overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    stream = io.StringIO()
    Console(file=stream, width=width(), color_system=None).print(table)
    return [line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")]


def width() -> int:
    """Characters of a line."""
    return shutil.get_terminal_size((PLAIN, 24)).columns if sys.stdout.isatty() else PLAIN


def race_lines(race: "Race") -> list[str]:
    """Standings, remarks and the winners of a race."""
    rows = [_row(entry, race) for entry in race.entries]
    header = [name for name in rows[0] if any(row[name] != "–" for row in rows)]
    leaving = [name for name in LEAST_COLUMNS if name in header]
    shown = _standings(header, rows)
    while leaving and max(map(len, shown)) > width():
        header.remove(leaving.pop(0))
        shown = _standings(header, rows)
    remarks = [f"{entry.name}: {entry.note}" for entry in race.entries if entry.note]
    return [*shown, "", *remarks, *([""] if remarks else []), *_winners(race)]


def _standings(header: Sequence[str], rows: Sequence[Mapping[str, str]]) -> list[str]:
    return output.columns([header, *([row[name] for name in header] for row in rows)])


def _row(entry: Any, race: "Race") -> dict[str, str]:
    steps, seconds = race.to_target(entry)
    train, val = entry.final["train"], entry.final["val"]
    scores = {f"val {name}": output.number(val.get(name), 4) for name in _scores(race)}
    return {
        "method": entry.name,
        "outcome": entry.status,
        "rate": "–" if entry.lr is None else f"{entry.lr:.3g}",
        "steps": str(entry.steps) if entry.steps else "–",
        "seconds": output.number(entry.seconds or None, 3),
        "ms/step": output.number(1000 * entry.seconds / entry.steps if entry.steps else None, 3),
        "train loss": output.number(train.get("loss"), 4),
        "val loss": output.number(val.get("loss"), 4),
        **scores,
        "steps to target": "–" if steps is None else f"{steps:.0f}",
        "s to target": output.number(seconds, 3),
        "memory": "–" if entry.memory is None else f"{entry.memory:.3g}",
    }


def _scores(race: "Race") -> list[str]:
    named: Mapping[str, Any] = next((e.final["val"] for e in race.entries if e.final["val"]), {})
    return [name for name in ("accuracy", "r2") if name in named]


def _winners(race: "Race") -> list[str]:
    winner = race.winner
    if race.target is None:
        return ["No method brought the training loss down."]
    return [
        f"Target        training loss {race.target:.4g}, 90 % of the way to the lowest reached",
        f"By the clock  {winner['second']}",
        f"By steps      {winner['step']}",
        *([f"Validation    {winner['validation']}"] if winner["validation"] else []),
    ]
