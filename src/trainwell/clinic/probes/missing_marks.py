"""Numbers that stand for 'missing' in a table: −9999 among temperatures, 999 among ages.

Such a mark is one exact value that comes again and again, at one end of its column and away from everything else in it:
by more than the whole range of the others, and by more than ``FAR`` of their robust deviations, (q₇₅ − q₂₅) / 1.349.
A net that is given it as a number sees little else; so do the column's mean and deviation, so that to standardize as
it stands squeezes the others together. Flags, counts that are mostly zero and codes of few values have no such others.
"""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from trainwell.clinic.cures.missing_marks import fill_marks
from trainwell.clinic.features import features_of
from trainwell.clinic.finding import Suspicion
from trainwell.clinic.subject import Subject

PHASE, COST = "contract", 0.0
ROWS, TIMES, SHARE, MOST = 20, 3, 0.005, 0.5  # fewest rows; a mark repeats so often, or in this share; at most in this
FAR, VERY_FAR = 10.0, 30.0  # robust deviations of the others from their median
VALUES = 5  # different ones that the others of a column must have at least
ORDINARY = 0.5  # share of the other columns in which a mark of one is an ordinary number
NORMAL = 1.349  # quartiles of a normal distribution are so many deviations apart
PRIOR, DOUBTFUL = 0.96, 0.5  # before inputs that are merely large: what makes them large is known here


@dataclass(frozen=True)
class Marks:
    """Of each column, shape (F,).

    Attributes:
        value: the mark, NaN where there is none.
        count: rows that hold it.
        distance: from the median of the others, in their robust deviations.
        low, high: of the others.
        mean: of the others.
    """

    value: Tensor
    count: Tensor
    distance: Tensor
    low: Tensor
    high: Tensor
    mean: Tensor

    @property
    def there(self) -> Tensor:
        """Columns that have one, shape (F,) bool."""
        return self.value.isfinite()

    @property
    def reach(self) -> Tensor:
        """How far from a mark a number still is it: rounding, but nothing near the others."""
        gap = torch.where(self.value < self.low, self.low - self.value, self.value - self.high)
        return 1e-3 * gap


def probe(subject: Subject) -> Iterator[Suspicion]:
    """Suspect columns in which one far value comes again and again."""
    with suppress(Exception):  # inputs of a kind that cannot be looked at
        features = features_of(subject)
        if features is None or features.x.dim() > 3 or features.axis != features.x.dim() - 1:
            return
        x = features.x
        if not x.is_floating_point():
            return
        flat = x.double().reshape(-1, x.shape[-1])
        marks = marks_of(flat)
        if marks is None:
            return
        count, most = int(marks.there.sum()), int(torch.where(marks.there, marks.distance, -1.0).argmax())
        value, share = float(marks.value[most]), float(marks.count[most]) / len(flat)
        low, high = float(marks.low[most]), float(marks.high[most])
        others = f" ({count} columns hold such a mark)" if count > 1 else ""
        cure = fill_marks(x, marks.value, marks.reach, torch.where(marks.there, marks.mean, 0.0))
        yield Suspicion(
            "input-not-normalized", f"train.X, feature {most}",
            f"Column {most} holds {value:.6g} in {share:.1%} of its rows, far from all its other values "
            f"({low:.3g} to {high:.3g}): a mark for 'missing' that the net takes for a number{others}.",
            {"mark": value, "share of rows": share, "robust deviations away": float(marks.distance[most]),
             "columns with a mark": float(count)},
            prior=PRIOR if float(marks.distance[most]) >= VERY_FAR else DOUBTFUL, cures=(cure,),
        )  # fmt: skip


def marks_of(x: Tensor) -> Marks | None:
    """Marks of the columns of a table (N, F); None where no column has one."""
    n = len(x)
    if n < ROWS:
        return None
    x = torch.where(x.isfinite().all(0), x, 0.0)  # a constant column has no mark
    low, high = _lowest(x), _mirrored(_lowest(-x))
    pairs = zip(vars(low).values(), vars(high).values(), strict=True)
    marks = Marks(*(torch.where(low.there, a, b) for a, b in pairs))
    value = marks.value.clone()
    for place in marks.there.nonzero().flatten().tolist():
        if _ordinary_elsewhere(x, marks, place):
            value[place] = torch.nan
    return replace(marks, value=value) if bool(value.isfinite().any()) else None


def _lowest(x: Tensor) -> Marks:
    """Marks below the others."""
    n = len(x)
    ordered = x.sort(dim=0).values
    lowest, highest = ordered[0], ordered[-1]
    count = (x == lowest).sum(0)
    others = (n - count).clamp(min=1)

    def quantile(share: float) -> Tensor:
        place = (count + (share * (others - 1)).round().long()).clamp(max=n - 1)
        return ordered.gather(0, place[None])[0]

    deviation = (quantile(0.75) - quantile(0.25)) / NORMAL
    distance = (quantile(0.5) - lowest) / deviation.clamp(min=1e-300)
    behind = quantile(0.0)
    values = (ordered[1:] > ordered[:-1]).sum(0)  # of the others
    repeated = (count >= TIMES) | ((count > 1) & (count >= SHARE * n))
    alone = (deviation > 0) & (distance > FAR) & (behind - lowest > highest - behind)
    marked = repeated & (count <= MOST * n) & alone & (values >= VALUES)
    mean = (x.sum(0) - count * lowest) / others
    return Marks(torch.where(marked, lowest, torch.nan), count, distance, behind, highest, mean)


def _mirrored(marks: Marks) -> Marks:
    """Of −x, told of x."""
    return Marks(-marks.value, marks.count, marks.distance, -marks.high, -marks.low, -marks.mean)


def _ordinary_elsewhere(x: Tensor, marks: Marks, place: int) -> bool:
    """Is it a number like others in most other columns, as black is among the pixels of a picture?"""
    same = marks.value == marks.value[place]
    ordinary = ((x == marks.value[place]).sum(0) >= TIMES) & ~same
    return int(ordinary.sum()) > ORDINARY * int((~same).sum())
