"""Maxout: the largest of several linear functions of the input, itself a learned convex function.

    y_i = max(x_{ki}, x_{ki+1}, …, x_{ki+k−1}),    k pieces

of adjacent channels: the layer before makes k times as many channels as the layer after reads. For independent inputs
z ~ N(0, 1) and two pieces E y² = 1: the gain is 1. Source: Goodfellow et al. 2013, arXiv:1302.4389; deck R.
"""

from torch import Tensor, nn


class Maxout(nn.Module):
    """Take the maximum over ``pieces`` adjacent channels, dimension 1: (N, pieces · C, …) → (N, C, …).

    Where pieces are equal, the gradient is shared among them.

    Args:
        pieces: how many channels make one, 2 or more; the paper's choices are 2 to 5.

    Raises:
        ValueError: if ``pieces`` is below 2, or at the first input whose channels it does not divide.
    """

    layer_kind = "activation"

    def __init__(self, pieces: int = 2) -> None:
        super().__init__()
        if pieces < 2:
            raise ValueError(f"Maxout: pieces={pieces} leaves nothing to choose from. Use 2 or more.")
        self.pieces = pieces

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, pieces · C, …) to (N, C, …)."""
        if x.dim() < 2 or x.shape[1] % self.pieces:
            raise ValueError(
                f"Maxout: pieces={self.pieces} do not divide the channels of an input of shape {tuple(x.shape)}, "
                "dimension 1. Give the layer before it a multiple of them."
            )
        return x.unflatten(1, (-1, self.pieces)).amax(2)

    def extra_repr(self) -> str:
        """Return the settings."""
        return f"pieces={self.pieces}"
