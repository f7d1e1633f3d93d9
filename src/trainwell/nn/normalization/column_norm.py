"""Standardizing a matrix of features by samples along one axis or the other, without state or parameters.

For Z with d features and n samples (stored like PyTorch's batches, as x of shape (n, d)):

    over the batch     (rows of Z; batch normalization)     mean over n = 0, variance 1 for every feature,
    over the features  (columns of Z; layer normalization)  mean over d = 0, variance 1 for every sample,

each by z ↦ (z − mean)/√(var + ε), which leaves the variance at var/(var + ε). A sample of more dimensions, say an
image, counts as the vector of all its numbers: over the batch, each pixel of each channel is a feature of its own. One
does not give the other. Over the features, a sample's result does not depend on the other samples; over the batch it
does, also in eval mode, and a single sample has none.
Source: Ba, Kiros & Hinton 2016, "Layer Normalization", §3, arXiv:1607.06450.
"""

from torch import Tensor, nn


class ColumnNorm(nn.Module):
    """Standardize inputs of shape (n, d, *) over their features or over the batch, alike in train and eval mode.

    Args:
        over: ``"features"`` or ``"batch"``.
        eps: ε > 0, added to the variances.

    Raises:
        ValueError: if the axis is not known or eps ≤ 0.
    """

    layer_kind = "norm"

    def __init__(self, over: str = "features", *, eps: float = 1e-5) -> None:
        super().__init__()
        if over not in ("features", "batch"):
            raise ValueError(f"ColumnNorm: over={over!r} is no axis. Use 'features' or 'batch'.")
        if eps <= 0:
            raise ValueError(f"ColumnNorm: eps={eps} would divide by zero. Use eps > 0, say 1e-5.")
        self.over, self.eps = over, eps

    def forward(self, x: Tensor) -> Tensor:
        """Standardize x.

        Raises:
            ValueError: if x has no features, or one value to standardize.
        """
        axes = list(range(1, x.dim())) if self.over == "features" else [0]
        if x.dim() < 2 or (x.shape[1:].numel() if self.over == "features" else x.shape[0]) < 2:
            raise ValueError(
                f"ColumnNorm: input of shape {tuple(x.shape)}; over={self.over!r} needs (n, d, *) with two or more "
                f"{self.over if self.over == 'features' else 'samples'}."
            )
        z = x.float() if x.element_size() < 4 else x
        centred = z - z.mean(axes, keepdim=True)
        return (centred * (centred.square().mean(axes, keepdim=True) + self.eps).rsqrt()).to(x.dtype)

    def extra_repr(self) -> str:
        return f"over={self.over!r}, eps={self.eps}"
