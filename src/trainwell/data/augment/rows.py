"""Augment the rows of tables: {"numbers": float (N, F), NaN for gaps, "categories": int64 (N, K)}, or an array (N, F).

    swap_noise   each cell becomes, with a probability, that of another row of the batch: marginals stay as they are
    noise        numbers get Gaussian noise in units of their own standard deviation

Source of swap noise: Yoon et al. 2020, "VIME", §4.1; Bahri et al. 2022, "SCARF", §3, arXiv:2106.15147.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.data.augment.draws import uniform, whole, within
from trainwell.data.augment.noises import feature_noise


def swap_noise(rows: Any, probability: float, generator: torch.Generator) -> Any:
    """Replace each cell, with the given probability, by the same column's cell of another row of the batch.

    Args:
        rows: a mapping of tensors (N, F), or one tensor (N, …), whose cells are those of its flattened rows.
        probability: in [0, 1]; 0.1 to 0.3 is usual.
        generator: source of which cells, and of the rows that they come from (a row of its own for each cell).
    """
    within("swap_noise", "probability", probability, 0, 1)
    if isinstance(rows, Mapping):
        return {name: swap_noise(values, probability, generator) for name, values in rows.items()}
    if probability == 0 or len(rows) < 2 or rows[0].numel() == 0:
        return rows
    cells = rows.flatten(1) if rows.dim() > 1 else rows.unsqueeze(1)
    count = len(cells)
    hit = uniform(cells.shape, generator, cells.device) < probability
    step = whole(cells.shape, generator, cells.device, 1, count - 1)
    source = (torch.arange(count, device=cells.device).unsqueeze(1) + step) % count  # never the row itself
    return torch.where(hit, cells.gather(0, source), cells).view_as(rows)


@dataclass(frozen=True)
class TableAugment:
    """Augment a batch of rows of a table or array: swap noise, then Gaussian noise on the numbers.

    Attributes:
        swap: probability that a cell is replaced by that of another row; 0 for none.
        noise: standard deviation of the noise in units of each number's own; 0 for none.
        std: standard deviations of the numbers in the training part; those of the batch if empty.
    """

    swap: float = 0.0
    noise: float = 0.0
    std: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        within("TableAugment", "swap", self.swap, 0, 1)
        within("TableAugment", "noise", self.noise, 0, 1e6)

    def __call__(self, rows: Any, generator: torch.Generator) -> Any:
        """Augment a mapping with "numbers" and "categories", such a pair, or one tensor of numbers."""
        if isinstance(rows, tuple | list):
            numbers, codes = rows
            made = self({"numbers": numbers, "categories": codes}, generator)
            return type(rows)([made["numbers"], made["categories"]])
        rows = swap_noise(rows, self.swap, generator)
        if isinstance(rows, Mapping):
            return {**rows, "numbers": self._noisy(rows["numbers"], generator)}
        return self._noisy(rows, generator)

    def _noisy(self, numbers: Tensor, generator: torch.Generator) -> Tensor:
        return feature_noise(numbers, self.noise, generator, torch.tensor(self.std) if self.std else None)
