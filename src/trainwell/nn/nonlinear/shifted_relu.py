"""Shifted ReLU: a ReLU whose corner is at (−1, −1), so that its mean output is near 0.

    φ(x) = max(x, −1).

Source: Clevert et al. 2016, arXiv:1511.07289, §4.1 (SReLU), who compare it with ELU.
"""

import torch
from torch import Tensor, nn


class ShiftedReLU(nn.Module):
    """Give max(x, −1), elementwise, any shape."""

    layer_kind = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Map each number to max(x, −1)."""
        return torch.clamp(x, min=-1.0)
