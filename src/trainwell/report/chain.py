"""The chain of layers as the page draws it: repeated stretches are drawn once, with how often they come."""

from collections.abc import Sequence
from dataclasses import dataclass

from trainwell.report.results import LayerRow

LONGEST_PERIOD = 64


@dataclass(frozen=True)
class Stretch:
    """Layers in a row, ``times`` over; ``rows`` is the first round, ``last`` the path where the last round begins."""

    rows: tuple[LayerRow, ...]
    times: int = 1
    last: str = ""

    @property
    def parameters(self) -> int:
        """Parameters of all rounds together."""
        return self.times * sum(row.parameters for row in self.rows)


def stretches(layers: Sequence[LayerRow]) -> tuple[Stretch, ...]:
    """Return the chain with every repetition folded, where that hides at least two rows.

    At each layer the period that folds the most layers is taken, the shortest of equal ones. Layers are alike when all
    but their paths agree.

    Example:
        >>> block = [LayerRow("", "linear", "Linear", (8,), (8,)), LayerRow("", "activation", "ReLU", (8,), (8,))]
        >>> [(len(s.rows), s.times) for s in stretches([*block * 3, LayerRow("", "linear", "Linear", (8,), (2,))])]
        [(2, 3), (1, 1)]
    """
    likeness = [(r.kind, r.name, r.input_shape, r.output_shape, r.parameters, r.detail) for r in layers]
    found: list[Stretch] = []
    start = 0
    while start < len(layers):
        period, times = _best_period(likeness, start)
        rows = tuple(layers[start : start + period])
        if times > 1:
            found.append(Stretch(rows, times, layers[start + period * (times - 1)].path))
        elif found and found[-1].times == 1:
            found[-1] = Stretch(found[-1].rows + rows)
        else:
            found.append(Stretch(rows))
        start += period * times
    return tuple(found)


def _best_period(likeness: Sequence[object], start: int) -> tuple[int, int]:
    """Return (period, times) of the best repetition that begins at ``start``; (1, 1) where none hides two rows."""
    best, best_covered = (1, 1), 2
    for period in range(1, min(LONGEST_PERIOD, (len(likeness) - start) // 2) + 1):
        times = 1
        while likeness[start + times * period : start + (times + 1) * period] == likeness[start : start + period]:
            times += 1
        hidden, covered = period * (times - 1), period * times
        if hidden >= 2 and covered > best_covered:
            best, best_covered = (period, times), covered
    return best
