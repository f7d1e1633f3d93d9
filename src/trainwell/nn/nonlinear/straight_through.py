"""Sign with a straight-through gradient: binary units that can be trained.

    y = 1 for x ≥ 0, −1 for x < 0;    ∂L/∂x := ∂L/∂y · 1[|x| ≤ 1].

The true derivative of sign is 0 wherever it exists and nothing below would learn; the backward pass uses the
derivative of the hard tanh instead, which stops the gradient of units that are far from their threshold.
Source: Hinton 2012 (lecture 9c) and Bengio et al. 2013, arXiv:1308.3432 (straight-through estimator); Courbariaux et
al. 2016, arXiv:1602.02830, eq. 4 (the window).
"""

import torch
from torch import Tensor, nn


class SignStraightThrough(nn.Module):
    """Give ±1 forward and the derivative of clamp(x, −1, 1) backward; zero counts as positive."""

    layer_kind = "activation"

    def forward(self, x: Tensor) -> Tensor:
        """Map each number to ±1; any shape."""
        sign = (x >= 0).to(x.dtype) * 2 - 1
        window = torch.clamp(x, -1.0, 1.0)
        return sign.detach() + (window - window.detach())  # the second term is 0 and carries the gradient
