"""Randomized leaky ReLU: the negative slope is drawn anew for every number while training.

    φ(x) = x for x ≥ 0, a x for x < 0,    a ~ U[lower, upper] in training,    a = (lower + upper) / 2 in evaluation.

While training, E φ(z)² = (1 + E a²)/2 with E a² = (lower² + lower · upper + upper²)/3. It is ``nn.RReLU``, which
``torch.func.vmap`` cannot batch. Source: Xu et al. 2015, arXiv:1505.00853, §2.4.
"""

import math

import torch
from torch import Tensor, nn


class RandomizedLeakyReLU(nn.Module):
    """Leaky ReLU with slopes drawn uniformly in training and their mean in evaluation; any shape.

    Args:
        lower: smallest slope; 1/8 is torch's and the paper's.
        upper: largest slope, not below ``lower``; 1/3.

    Raises:
        ValueError: if a bound is not finite or ``lower`` is above ``upper``.
    """

    layer_kind = "activation"

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3) -> None:
        super().__init__()
        if not (math.isfinite(lower) and math.isfinite(upper) and lower <= upper):
            raise ValueError(f"RandomizedLeakyReLU: lower={lower} and upper={upper} bound no slopes; lower ≤ upper.")
        self.lower, self.upper = lower, upper

    def forward(self, x: Tensor) -> Tensor:
        """Map each number; torch's global generator draws the slopes."""
        if self.training:
            slope = self.lower + (self.upper - self.lower) * torch.rand_like(x)
            return torch.where(x >= 0, x, slope * x)
        return nn.functional.leaky_relu(x, (self.lower + self.upper) / 2)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"lower={self.lower:.6g}, upper={self.upper:.6g}"
