"""Root mean square normalization of a whole sample.

Over the d = C·Πs values of a sample of shape (C, *s),

    y_c = γ_c x_c / √(mean(x²) + ε),

which unlike layer normalization subtracts no mean. For vectors, s = (), this is ``nn.RMSNorm``, which normalizes over
the last dimensions and so wants to know the size of an image.
Source: Zhang & Sennrich 2019, "Root Mean Square Layer Normalization", eq. 4, arXiv:1910.07467.
"""

import torch
from torch import Tensor, nn

from trainwell.nn.normalization.channels import require_channels, require_positive


class SampleRMSNorm(nn.Module):
    """Divide every sample of an input of shape (N, C, *) by its root mean square.

    Args:
        num_features: C.
        eps: ε > 0, added to the mean of the squares (PyTorch's layer takes the dtype's own, 1.2e-7 for float32, and
            amplifies a sample of zeros but for rounding by as much).
        affine: learn a scale per channel.

    Raises:
        ValueError: if eps ≤ 0.
    """

    layer_kind = "norm"

    def __init__(self, num_features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        require_positive(self, eps)
        self.num_features, self.eps = num_features, eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x.

        Raises:
            ValueError: if the channels do not fit.
        """
        require_channels(self, x, self.num_features)
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        axes = list(range(1, x.dim()))
        y = z * (z.square().mean(axes, keepdim=True) + self.eps).rsqrt()
        if self.weight is not None:
            y = y * self.weight.view(1, -1, *[1] * (x.dim() - 2))
        return y.to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"
