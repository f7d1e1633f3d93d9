"""Exact Wasserstein-1 distance of two samples on a line.

    W₁ = ∫ |F(x) − G(x)| dx

with the empirical distribution functions F and G: a finite sum over the gaps between neighbouring values of both
samples. For equal sizes this is the mean of |x_(i) − y_(i)| over the sorted samples. Unlike KL it grows with the
distance between samples that do not overlap, and its gradient does not vanish there.
Source: Villani 2003, "Topics in Optimal Transportation", §2.2; ``scipy.stats.wasserstein_distance`` is the same number.
"""

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.reduction import check_reduction, reduced


class Wasserstein1D(nn.Module):
    """W₁ of the samples in the last dimension, for each of the leading ones; in the unit of the values.

    Differentiable almost everywhere: ∂W₁/∂x_i is ±1/n, or between where values tie. An empty batch gives 0.

    Args:
        reduction: "mean" over the leading dimensions, "sum" or "none".

    Example:
        >>> Wasserstein1D()(torch.tensor([0.0, 1.0, 3.0]), torch.tensor([5.0, 6.0, 8.0]))
        tensor(5.)
    """

    def __init__(self, *, reduction: str = "mean") -> None:
        super().__init__()
        self.reduction = check_reduction("Wasserstein1D", reduction)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The distance; shapes (..., n) and (..., m) with the same leading dimensions, finite values.

        Raises:
            InputError: for other shapes, or samples without values.
        """
        if first.dim() == 0 or second.dim() == 0 or first.shape[:-1] != second.shape[:-1]:
            raise InputError(
                f"Wasserstein1D: samples {tuple(first.shape)} and {tuple(second.shape)} differ in leading dimensions.",
                "Give (..., n) and (..., m).",
            )
        n, m = first.shape[-1], second.shape[-1]
        if n == 0 or m == 0:
            raise InputError(f"Wasserstein1D: samples of {n} and {m} values.", "Give at least one value each.")
        first, second = first.sort(-1).values, second.sort(-1).values
        points = torch.cat([first, second], -1).sort(-1).values
        left = points[..., :-1].detach().contiguous()
        below = [torch.searchsorted(s.detach().contiguous(), left, right=True) for s in (first, second)]
        difference = (below[0].to(points.dtype) / n - below[1].to(points.dtype) / m).abs()
        return reduced((difference * points.diff(dim=-1)).sum(-1), self.reduction)
