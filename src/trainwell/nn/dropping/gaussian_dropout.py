"""Gaussian dropout: multiply by normal noise of mean 1 in place of a scaled mask of zeros.

    y = x · (1 + √(p/(1 − p)) ε),    ε ~ N(0, 1).

Mean x and variance x² p/(1 − p) are those of inverted dropout with drop probability p, and no unit is ever quite off.
Source: Srivastava et al. 2014, JMLR 15, §10 ("Multiplicative Gaussian Noise").
"""

import torch
from torch import Tensor, nn

from trainwell.nn.dropping.drop_probability import checked


class GaussianDropout(nn.Module):
    """Multiply every number by N(1, p/(1 − p)) in training; do nothing in evaluation. Any shape.

    Args:
        p: the drop probability of the inverted dropout with the same variance, in [0, 1).

    Raises:
        ValueError: if ``p`` is outside.
    """

    layer_kind = "dropout"

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = checked("GaussianDropout", p)

    def forward(self, x: Tensor) -> Tensor:
        """Map each number; torch's global generator draws the noise."""
        if not self.training or self.p == 0:
            return x
        return x * (1 + (self.p / (1 - self.p)) ** 0.5 * torch.randn_like(x))

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"p={self.p}"
