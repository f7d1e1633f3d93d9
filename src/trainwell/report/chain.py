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
        if times > 1 and (shift := _best_shift(layers, likeness, start, period, times)):
            period, times = shift, 1
        rows = tuple(layers[start : start + period])
        if times > 1:
            found.append(Stretch(rows, times, layers[start + period * (times - 1)].path))
        elif found and found[-1].times == 1:
            found[-1] = Stretch(found[-1].rows + rows)
        else:
            found.append(Stretch(rows))
        start += period * times
    return tuple(found)


def _best_shift(layers: Sequence[LayerRow], likeness: Sequence[object], start: int, period: int, times: int) -> int:
    """Return how much later the same repetition better begins: where its rounds are blocks of the module tree.

    Of the beginnings with as many rounds, the one whose rounds share the longest path wins, then one at a layer with
    weights, then the first.
    """

    def fitness(shift: int) -> tuple[int, bool]:
        rounds = [layers[start + shift + n * period :][:period] for n in range(times)]
        shared = sum(_shared_depth([row.path for row in rows]) for rows in rounds)
        return shared, layers[start + shift].kind in ("linear", "conv", "embedding")

    alike = [n for n in range(period) if _rounds(likeness, start + n, period) == times]
    return max(alike, key=fitness)


def _shared_depth(paths: Sequence[str]) -> int:
    """Return how many leading parts all the dotted paths share."""
    depth = 0
    for parts in zip(*(path.split(".")[:-1] for path in paths), strict=False):
        if len(set(parts)) > 1:
            break
        depth += 1
    return depth


def _rounds(likeness: Sequence[object], start: int, period: int) -> int:
    """Return how many times the ``period`` layers from ``start`` come in a row, at least 1."""
    times = 1
    while likeness[start + times * period : start + (times + 1) * period] == likeness[start : start + period]:
        times += 1
    return times


def _best_period(likeness: Sequence[object], start: int) -> tuple[int, int]:
    """Return (period, times) of the best repetition that begins at ``start``; (1, 1) where none hides two rows."""
    best, best_covered = (1, 1), 2
    for period in range(1, min(LONGEST_PERIOD, (len(likeness) - start) // 2) + 1):
        times = _rounds(likeness, start, period)
        hidden, covered = period * (times - 1), period * times
        if hidden >= 2 and covered > best_covered:
            best, best_covered = (period, times), covered
    return best
