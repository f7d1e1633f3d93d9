"""The table of methods: a line each."""

from collections.abc import Iterator
from dataclasses import dataclass

from trainwell.optim.methods import METHODS

COLUMNS = ("name", "deck", "cost", "memory", "needs", "ddp", "decay", "lr", "why")


@dataclass(frozen=True)
class Table:
    """Rows of strings; ``str`` lines them up.

    Attributes:
        columns: their names.
        rows: one tuple a method, in the order of ``METHODS``.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def __iter__(self) -> Iterator[dict[str, str]]:
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __str__(self) -> str:
        widths = [max(map(len, column)) for column in zip(self.columns, *self.rows, strict=True)]
        lines = [self.columns, tuple("─" * width for width in widths), *self.rows]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
        )


def table() -> Table:
    """All methods: name, deck, cost of a step, numbers of memory per parameter, needs, whether it
    runs under DDP, weight decay, rate and why.

    Example:
        >>> next(row for row in table() if row["name"] == "adamw")["memory"]
        '2'
    """
    rows = [
        (
            name,
            method.deck or "–",
            method.cost,
            f"{method.memory:g}",
            ", ".join(sorted(method.needs)) or "–",
            "yes" if method.ddp else "–",
            method.decay,
            f"{method.lr:g}",
            method.why,
        )
        for name, method in METHODS.items()
    ]
    return Table(COLUMNS, tuple(rows))
