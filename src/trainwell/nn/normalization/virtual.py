"""Virtual batch normalization: every sample is normalized by a reference batch and by itself, never by its neighbours.

The first batch of training is the reference: N_r samples whose channels have the mean μ_r and variance σ_r². It is
normalized by these. Every later sample i, with its own mean m_i and variance v_i over *, is counted as one more sample
of the reference, a = 1/(N_r + 1) of the whole:

    μ_i  = μ_r + a (m_i − μ_r),
    σ_i² = (1 − a) σ_r² + a v_i + a (1 − a) (m_i − μ_r)²,
    y = γ (x_i − μ_i)/√(σ_i² + ε) + β,

in train and eval mode alike (without a reference: μ_r = 0, σ_r² = 1, a = 0). For vectors m_i = x_i and v_i = 0.

The paper sends the reference batch through the net at every step, so that μ_r follows the weights, at twice the cost.
Here μ_r and σ_r² stay what they were: the layers after them drift as in a net without normalization. Call
``refresh_references_(model, reference)``, say every epoch, to measure them again.
Source: Salimans et al. 2016, "Improved Techniques for Training GANs", §3.5, arXiv:1606.03498; the weight a is that of
its published code.
"""

from typing import Any

import torch
from torch import Tensor, nn

from trainwell.nn.normalization.channels import require_channels, require_positive, require_values


class VirtualBatchNorm(nn.Module):
    """Virtual batch normalization of inputs of shape (N, C, *); the reference's moments are part of the state.

    Args:
        num_features: C.
        eps: ε > 0, added to the variances.
        affine: learn a scale and a shift per channel.

    Raises:
        ValueError: if eps ≤ 0.
    """

    layer_kind = "norm"

    reference_mean: Tensor
    reference_var: Tensor
    reference_samples: Tensor

    def __init__(self, num_features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        require_positive(self, eps)
        self.num_features, self.eps = num_features, eps
        self.weight = nn.Parameter(torch.ones(num_features)) if affine else None
        self.bias = nn.Parameter(torch.zeros(num_features)) if affine else None
        self.register_buffer("reference_mean", torch.zeros(num_features))
        self.register_buffer("reference_var", torch.ones(num_features))
        self.register_buffer("reference_samples", torch.tensor(0))

    def forward(self, x: Tensor) -> Tensor:
        """Normalize x; in train mode without a reference, take x for it.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a channel has one value.
        """
        require_channels(self, x, self.num_features)
        z = x.to(torch.promote_types(x.dtype, torch.float32))
        shape = (1, -1, *[1] * (x.dim() - 2))
        known = self.reference_samples > 0
        share = torch.where(known, 1 / (self.reference_samples.to(z.dtype) + 1), 0.0)
        mean, variance = self.reference_mean.to(z.dtype), self.reference_var.to(z.dtype)
        if self.training:
            require_values(self, x, self.num_features)
            mean, variance = self._referred(z, known, mean, variance)
        mean, variance = mean.view(shape), variance.view(shape)
        axes = list(range(2, x.dim()))
        own = z.mean(axes, keepdim=True) if axes else z
        spread = (z - own).square().mean(axes, keepdim=True) if axes else torch.zeros_like(z)
        away = own - mean
        variance = (1 - share) * variance + share * spread + share * (1 - share) * away.square()
        y = (z - (mean + share * away)) * (variance + self.eps).rsqrt()
        if self.weight is not None and self.bias is not None:
            y = self.weight.view(shape) * y + self.bias.view(shape)
        return y.to(x.dtype)

    def _referred(self, z: Tensor, known: Tensor, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """The reference's moments; where there is none yet, the batch's own, which are kept."""
        axes = [0, *range(2, z.dim())]
        mean = torch.where(known, mean, z.mean(axes))
        shape = (1, -1, *[1] * (z.dim() - 2))
        variance = torch.where(known, variance, (z - mean.view(shape)).square().mean(axes))
        samples = torch.where(known, self.reference_samples, z.shape[0])
        with torch.no_grad():
            self.reference_mean.copy_(mean)
            self.reference_var.copy_(variance)
            self.reference_samples.copy_(samples)
        return mean, variance

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


@torch.no_grad()
def refresh_references_(model: nn.Module, *reference: Any) -> int:
    """Measure the reference of every ``VirtualBatchNorm`` anew by a forward pass, and return how many there are.

    All other modules are in eval mode meanwhile; the modes are put back.

    Args:
        model: called as ``model(*reference)``.
        reference: the reference batch, the same every time.

    Raises:
        ValueError: if the model has no virtual batch normalization.
    """
    modes = [(module, module.training) for module in model.modules()]
    layers = [module for module, _ in modes if isinstance(module, VirtualBatchNorm)]
    if not layers:
        raise ValueError("refresh_references_: the model has no VirtualBatchNorm. Build it with norm='virtual'.")
    try:
        for module, _ in modes:
            module.training = isinstance(module, VirtualBatchNorm)
        for layer in layers:
            layer.reference_samples.zero_()
        model(*reference)
    finally:
        for module, mode in modes:
            module.training = mode
    return len(layers)
