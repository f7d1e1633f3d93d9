"""Numbers that stand for 'missing' replaced by their column's mean, inside the model: later data need no change."""

import torch
from torch import Tensor, nn

from trainwell.clinic.cure import Cure
from trainwell.clinic.cures.inputs import before
from trainwell.clinic.features import measured
from trainwell.nn.scaled_input import AffineInput


class Unmarked(nn.Module):
    """Put a column's own number in place of the one that marks a missing value there.

    Args:
        mark: of each column, NaN where it has none, shape (F,).
        reach: how far from it a number still is the mark, shape (F,).
        fill: what takes its place, shape (F,).
    """

    layer_kind = "input"
    mark: Tensor
    reach: Tensor
    fill: Tensor

    def __init__(self, mark: Tensor, reach: Tensor, fill: Tensor) -> None:
        super().__init__()
        for name, value in (("mark", mark), ("reach", reach), ("fill", fill)):
            self.register_buffer(name, value.detach().float())

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, …, F) to the same shape; a comparison with NaN is never true."""
        marked = (x - self.mark).abs() <= self.reach
        return torch.where(marked, self.fill.to(x.dtype), x)

    def extra_repr(self) -> str:
        return f"{int(self.mark.isfinite().sum())} of {len(self.mark)} columns"


def fill_marks(x: Tensor, mark: Tensor, reach: Tensor, fill: Tensor) -> Cure:
    """Replace the marks, then standardize every column by the statistics of what is so made of x.

    Args:
        x: training samples, (N, …, F).
        mark, reach, fill: as in :class:`Unmarked`.
    """
    unmarked = Unmarked(mark, reach, fill).to(x.device)
    features = measured(unmarked(x), x.dim() - 1)
    std = torch.where(features.varying, features.std, torch.ones_like(features.std))
    shape = (*[1] * (x.dim() - 2), len(mark))
    scaled = AffineInput(
        features.mean.reshape(shape).cpu().numpy(), (1 / std).reshape(shape).cpu().numpy(), x.shape[1:]
    )
    source = "nn.Sequential(Unmarked(), Standardized(), model)  # torch.where(x == mark, mean_of_the_others, x)"
    name = "put the column's mean in place of marks of missing values, and standardize, inside the model"
    return before(nn.Sequential(unmarked, scaled).to(x.device), name, source)
