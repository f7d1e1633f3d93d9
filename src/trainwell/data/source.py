"""What a reader of images or arrays finds, before labels become codes and rows are split."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import overload

import numpy as np

Progress = Callable[[str, float | None], object]
"""Told of lasting work: ``progress(text, fraction)``, the fraction None where unknown."""


class Numbered(Sequence[str]):
    """The names "0", "1", … of rows that have no others, without storing them."""

    def __init__(self, count: int, start: int = 0) -> None:
        self.numbers = range(start, start + count)

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        return [str(i) for i in self.numbers[index]] if isinstance(index, slice) else str(self.numbers[index])


@dataclass(frozen=True)
class Source:
    """Decoded rows with their labels as found.

    Args:
        kind: image, array or sequence.
        X: uint8 (N, C, H, W) for images, float32 (N, …) otherwise.
        labels: (N,) or (N, T) integers, floats or texts; None where there are none.
        names: class names that the integer labels 0, 1, … index, () where unknown.
        parts: "train", "val", "test" → (first row, row after the last) where the source is parted.
        ids: one name a row.
        id_name: what these names are.
        notes: sentences for the user.
        provenance: where it came from, how it is coded.
    """

    kind: str
    X: np.ndarray
    labels: np.ndarray | None
    names: tuple[str, ...] = ()
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)
    ids: Sequence[str] = ()
    id_name: str = "index"
    notes: tuple[str, ...] = ()
    provenance: dict[str, str] = field(default_factory=dict)
