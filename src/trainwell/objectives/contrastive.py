"""Losses of embeddings: like pairs near, unlike pairs apart.

    pairwise margin   L = ½ y d² + ½ (1 − y) max(0, m − d)²,     d = ‖a − b‖,  y = 1 for like pairs
    NT-Xent           L_i = −ln( e^{c_ij/τ} / Σ_{k≠i} e^{c_ik/τ} ),  j the other view of i, c the cosine, 2n embeddings

n unrelated orthogonal pairs give NT-Xent ln(1 + (2n − 2) e^{−1/τ}); a batch of one pair has nothing to contrast: 0.
Source: Hadsell, Chopra & LeCun 2006, eq. 4; Chen et al. 2020 (SimCLR), eq. 1, arXiv:2002.05709.
"""

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.reduction import check_reduction, reduced


class PairMarginLoss(nn.Module):
    """½ y d² + ½ (1 − y) max(0, m − d)² of pairs of embeddings; no pairs give 0.

    At d = 0 an unlike pair has a kink; its gradient there is 0.

    Args:
        margin: m > 0, the distance beyond which unlike pairs cost nothing.
        reduction: "mean" over pairs, "sum" or "none".
    """

    def __init__(self, *, margin: float = 1.0, reduction: str = "mean") -> None:
        super().__init__()
        self.margin = _positive("PairMarginLoss", "margin", margin)
        self.reduction = check_reduction("PairMarginLoss", reduction)

    def forward(self, first: Tensor, second: Tensor, alike: Tensor) -> Tensor:
        """The loss; embeddings (n, d), ``alike`` (n,) is 1 for like and 0 for unlike pairs.

        Raises:
            InputError: for other shapes.
        """
        _check_pairs("PairMarginLoss", first, second)
        if alike.shape != first.shape[:1]:
            raise InputError(
                f"PairMarginLoss: {len(first)} pairs, but alike has shape {tuple(alike.shape)}.", "Give one a pair."
            )
        alike = alike.to(first.dtype)
        difference = first - second
        apart = (self.margin - torch.linalg.vector_norm(difference, dim=1)).clamp_min(0.0)
        return reduced(0.5 * (alike * difference.square().sum(1) + (1 - alike) * apart.square()), self.reduction)


class NTXentLoss(nn.Module):
    """Normalized, temperature-scaled cross-entropy of two views of each sample (InfoNCE with in-batch negatives).

    Invariant to the lengths of the embeddings; an embedding of length 0 has cosine 0 with all others. No pairs give 0.

    Args:
        temperature: τ > 0; 0.5 is SimCLR's for CIFAR-10 (appendix B.9).
        reduction: "mean" over pairs, "sum" or "none"; a pair's loss is the mean of its two directions.
    """

    def __init__(self, *, temperature: float = 0.5, reduction: str = "mean") -> None:
        super().__init__()
        self.temperature = _positive("NTXentLoss", "temperature", temperature)
        self.reduction = check_reduction("NTXentLoss", reduction)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """The loss; row i of both, shape (n, d), are two views of sample i.

        Raises:
            InputError: for other shapes.
        """
        _check_pairs("NTXentLoss", first, second)
        n = len(first)
        views = nn.functional.normalize(torch.cat([first, second]), dim=1)  # (2n, d)
        itself = torch.eye(2 * n, dtype=torch.bool, device=views.device)
        similarity = (views @ views.T / self.temperature).masked_fill(itself, -torch.inf)
        other = torch.arange(2 * n, device=views.device).roll(n)
        values = -similarity.log_softmax(1).gather(1, other[:, None])[:, 0]
        return reduced(0.5 * (values[:n] + values[n:]), self.reduction)


def _check_pairs(name: str, first: Tensor, second: Tensor) -> None:
    if first.dim() != 2 or first.shape != second.shape:
        raise InputError(
            f"{name}: embeddings {tuple(first.shape)} and {tuple(second.shape)} are no pairs.", "Give both as (n, d)."
        )


def _positive(name: str, what: str, value: float) -> float:
    if not 0 < value < float("inf"):
        raise InputError(f"{name}: {what} is {value}.", "Give a positive number.")
    return value
