"""The data at a glance: samples by part, balance of the classes, pictures, columns, the target's histogram."""

from dataclasses import dataclass

import numpy as np

from trainwell.report import words
from trainwell.report.drawing import Drawing
from trainwell.report.evaluation import histogram
from trainwell.report.pictures import data_uri
from trainwell.report.results import Results

MOST_PICTURES = 24
MOST_LISTED = 24


@dataclass(frozen=True)
class Part:
    """One part of the data: how many samples, and their share of all."""

    name: str
    label: str
    samples: int
    share: float


@dataclass(frozen=True)
class Balance:
    """How many samples a class has in each part; ``width`` in [0, 1] is relative to the largest class."""

    name: str
    counts: tuple[int, ...]
    total: int
    width: float


@dataclass(frozen=True)
class Thumb:
    """A picture as data URI with its caption; ``small`` ones are enlarged with hard pixels."""

    uri: str
    label: str
    name: str
    small: bool


def parts(results: Results) -> list[Part]:
    """Return the parts with their shares."""
    if results.data is None:
        return []
    total = max(1, sum(results.data.samples.values()))
    return [Part(name, words.part(name), n, n / total) for name, n in results.data.samples.items()]


def balance(results: Results) -> list[Balance]:
    """Return one row a class, in the order of codes; for many classes the largest first."""
    if results.data is None or not results.data.class_counts:
        return []
    columns = list(results.data.class_counts.values())
    rows = list(zip(results.classes, zip(*columns, strict=True), strict=True))
    largest = max(1, *(sum(counts) for _, counts in rows))
    found = [Balance(name, counts, sum(counts), sum(counts) / largest) for name, counts in rows]
    return sorted(found, key=lambda b: -b.total) if len(found) > MOST_LISTED else found


def balance_words(rows: list[Balance]) -> str:
    """Return how even the classes are, in a sentence."""
    if len(rows) < 2:
        return ""
    largest, smallest = max(rows, key=lambda r: r.total), min(rows, key=lambda r: r.total)
    if largest.total <= 1.2 * smallest.total:
        return f"{len(rows)} classes, about equally common."
    times = (
        f"{words.number(largest.total / smallest.total, 2)} times as common as"
        if smallest.total
        else "there, but not one"
    )
    return f"{len(rows)} classes; “{largest.name}” is {times} “{smallest.name}”."


def thumb(image: "np.ndarray", label: str = "", name: str = "") -> Thumb:
    """Return a uint8 picture, shape (H, W) or (C, H, W), ready to show."""
    return Thumb(data_uri(image), label, name, max(image.shape[-2:]) < 64)


def pictures(results: Results) -> list[Thumb]:
    """Return the first example pictures."""
    examples = results.data.examples[:MOST_PICTURES] if results.data is not None else ()
    return [thumb(example.image, example.label, example.name) for example in examples]


def target_histogram(results: Results) -> Drawing | None:
    """Return the histogram of a regression's target, its 0.5th to 99.5th percentile."""
    values = results.data.target_values if results.data is not None else None
    if values is None:
        return None
    values = np.asarray(values, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    ends = np.percentile(values, [0.5, 99.5]) if len(values) > 200 else (values.min(), values.max())
    note = (
        f"{words.number(float(values.min()))} to {words.number(float(values.max()))}, "
        f"median {words.number(float(np.median(values)))}, mean {words.number(float(values.mean()))}."
    )
    title = f"Distribution of {results.data.target or 'the target'}" if results.data is not None else ""
    return Drawing(title, histogram("target", values, (float(ends[0]), float(ends[1])), "value"), note=note)
