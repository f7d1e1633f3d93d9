"""Local response normalization: neighbouring channels hold one another down.

    y_c = x_c / (k + α Σ_j x_j²)^β,    j from c − ⌊n/2⌋ to c + ⌊(n−1)/2⌋,

n neighbouring channels (for odd n centred at c), zeros beyond the ends, with the published constants n = 5, α = 1e-4, β
= 0.75, k = 2. ``nn.LocalResponseNorm``, which computes it, takes the *mean* of the squares, so that its α is n times
ours; its k is 1 by default, and it refuses vectors.
Source: Krizhevsky, Sutskever & Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", §3.3.
"""

import torch
from torch import Tensor, nn


class LocalResponse(nn.LocalResponseNorm):
    """Local response normalization of inputs of shape (N, C, *), alike in train and eval mode.

    Args:
        channels: n ≥ 1, the channels that a sum runs over.
        alpha: α ≥ 0, weight of the sum of squares.
        beta: β, the exponent.
        offset: k > 0.

    Raises:
        ValueError: if an argument is out of range.
    """

    layer_kind = "norm"

    def __init__(self, channels: int = 5, *, alpha: float = 1e-4, beta: float = 0.75, offset: float = 2.0) -> None:
        if channels < 1 or alpha < 0 or not offset > 0:
            raise ValueError(
                f"LocalResponse: channels={channels}, alpha={alpha}, offset={offset}, but channels ≥ 1, alpha ≥ 0 and "
                "offset > 0 must hold."
            )
        super().__init__(channels, alpha * channels, beta, offset)

    def forward(self, input: Tensor) -> Tensor:
        """Normalize.

        Raises:
            ValueError: if the input has no channels.
        """
        if input.dim() < 2:
            raise ValueError(f"LocalResponse: input of shape {tuple(input.shape)}, but it needs (N, C, *).")
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        y = super().forward(x.unsqueeze(2)).squeeze(2) if x.dim() == 2 else super().forward(x)
        return y.to(input.dtype)
