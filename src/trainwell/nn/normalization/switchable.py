"""Switchable normalization: the layer learns whether to normalize by instance, by layer or by batch.

With the means and variances of k ∈ {instance (over *), layer (over C, *), batch (over N, *)},

    y = γ (x − Σ_k w_k μ_k) / √(Σ_k w'_k σ_k² + ε) + β,    w = softmax(λ),    w' = softmax(λ'),

with λ, λ' ∈ R³ shared by all channels and zero at the start (w = 1/3). Vectors have no instance, hence two weights.
All variances are of the population. In eval mode the batch's moments are running averages like those of batch
normalization (weight ``momentum`` of the new ones, variance unbiased); the paper averages over some batches after
training instead, which its published code offers beside the running averages.
Source: Luo et al. 2019, "Differentiable Learning-to-Normalize via Switchable Normalization", eqs. 3–5,
arXiv:1806.10779.
"""

import torch
from torch import Tensor, nn

from trainwell.nn.normalization.channels import require_channels, require_positive, require_values


class SwitchableNorm(nn.Module):
    """Switchable normalization of inputs of shape (N, C, *).

    Args:
        num_features: C.
        dimensions: how many dimensions * stands for; 0 for vectors, which have no instance statistics.
        eps: ε > 0, added to the mixed variance.
        momentum: weight of a batch's moments in the running ones.

    Raises:
        ValueError: if an argument is out of range.
    """

    layer_kind = "norm"

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, dimensions: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        require_positive(self, eps)
        if not 0 < momentum <= 1:
            raise ValueError(f"SwitchableNorm: momentum={momentum} is the weight of the new values, 0 < momentum ≤ 1.")
        if dimensions < 0:
            raise ValueError(f"SwitchableNorm: dimensions={dimensions}. Use 0 for vectors, 1 or more for signals.")
        self.num_features, self.dimensions, self.eps, self.momentum = num_features, dimensions, eps, momentum
        self.weight, self.bias = nn.Parameter(torch.ones(num_features)), nn.Parameter(torch.zeros(num_features))
        kinds = 3 if dimensions else 2
        self.mean_logits, self.var_logits = nn.Parameter(torch.zeros(kinds)), nn.Parameter(torch.zeros(kinds))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize by mixed statistics; those of the batch are the running ones in eval mode.

        Raises:
            ValueError: if the shape does not fit, or in train mode if a channel has one value.
        """
        require_channels(self, x, self.num_features)
        if x.dim() != 2 + self.dimensions:
            raise ValueError(
                f"SwitchableNorm: input of shape {tuple(x.shape)} has {x.dim() - 2} dimensions after the channels and "
                f"not {self.dimensions}."
            )
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        shape = (1, -1, *[1] * self.dimensions)
        moments = [_moments(z, list(range(2, x.dim())))] if self.dimensions else []
        moments += [_moments(z, list(range(1, x.dim()))), self._batch(z, shape)]
        mean, variance = (
            sum(w * m for w, m in zip(logits.to(z.dtype).softmax(0), values, strict=True))
            for logits, values in zip((self.mean_logits, self.var_logits), zip(*moments, strict=True), strict=True)
        )
        y = (z - mean) * (variance + self.eps).rsqrt()
        return (self.weight.view(shape) * y + self.bias.view(shape)).to(x.dtype)

    def _batch(self, z: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        if not self.training:
            return self.running_mean.to(z.dtype).view(shape), self.running_var.to(z.dtype).view(shape)
        require_values(self, z, self.num_features)
        mean, variance = _moments(z, [0, *range(2, z.dim())])
        values = z.numel() // self.num_features
        with torch.no_grad():
            unbiased = variance.flatten() * (values / (values - 1))
            for running, new in ((self.running_mean, mean.flatten()), (self.running_var, unbiased)):
                running.add_(new.to(running.dtype) - running, alpha=self.momentum)
        return mean, variance

    def extra_repr(self) -> str:
        return f"{self.num_features}, dimensions={self.dimensions}, eps={self.eps}, momentum={self.momentum}"


def _moments(z: Tensor, axes: list[int]) -> tuple[Tensor, Tensor]:
    mean = z.mean(axes, keepdim=True)
    return mean, (z - mean).square().mean(axes, keepdim=True)
