"""Batch renormalization: train mode computes what eval mode will, as far as two limits allow.

With the mean μ_B and standard deviation s_B = √(σ_B² + ε) of the batch, and the running ones μ̄ and s̄ = √(σ̄² + ε):

    y = γ [ (x − μ_B)/s_B · r + d ] + β,
    r = clip(s_B/s̄, 1/r_max, r_max),    d = clip((μ_B − μ̄)/s̄, −d_max, d_max),

with no gradient through r and d. Within the limits this is γ (x − μ̄)/s̄ + β, the function of eval mode; for r_max = 1,
d_max = 0 it is batch normalization. Training begins at the latter and the limits are raised: the paper takes 5000 steps
of batch normalization and goes linearly to r_max = 3 at step 40 000 and d_max = 5 at step 25 000. Set the attributes
``r_max`` and ``d_max`` for that, between steps. Running statistics are updated after use; like PyTorch's batch
normalization we average σ² (unbiased) where the paper averages σ.
Source: Ioffe 2017, "Batch Renormalization", Algorithm 1 and §5, arXiv:1702.03275.
"""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class BatchRenorm(_BatchNorm):
    """Batch normalization of inputs of shape (N, C, *), corrected towards the running statistics.

    Args:
        num_features: C.
        r_max: limit of the correction of the scale, ≥ 1.
        d_max: limit of the correction of the mean, ≥ 0, in standard deviations.
        eps: ε > 0, added to the variances.
        momentum: weight of the batch's statistics in the running ones (the paper's 0.01).
        affine: learn a scale and a shift per channel.

    Raises:
        ValueError: if an argument is out of range.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(
        self,
        num_features: int,
        *,
        r_max: float = 3.0,
        d_max: float = 5.0,
        eps: float = 1e-5,
        momentum: float = 0.01,
        affine: bool = True,
    ) -> None:
        if r_max < 1 or d_max < 0:
            raise ValueError(f"BatchRenorm: r_max={r_max}, d_max={d_max}, but r_max ≥ 1 and d_max ≥ 0 must hold.")
        if eps <= 0:
            raise ValueError(f"BatchRenorm: eps={eps} would divide by zero. Use eps > 0, say 1e-5.")
        if not 0 < momentum <= 1:
            raise ValueError(f"BatchRenorm: momentum={momentum} is the weight of the new values, 0 < momentum ≤ 1.")
        super().__init__(num_features, eps, momentum, affine)
        self.r_max, self.d_max = r_max, d_max

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by corrected statistics in train mode, by the running ones in eval mode.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a channel has one value.
        """
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f"BatchRenorm: input of shape {tuple(input.shape)}, but num_features={self.num_features} needs "
                f"(N, {self.num_features}, *)."
            )
        if self.training and input.numel() == self.num_features:
            raise ValueError(
                f"BatchRenorm: input of shape {tuple(input.shape)} has one value per channel in train mode, and one "
                "value has no variance. Use a larger batch, or model.eval()."
            )
        x = input.to(torch.promote_types(input.dtype, torch.float32))
        shape = (1, -1, *[1] * (x.dim() - 2))
        y = (self._corrected if self.training else self._running)(x, shape)
        if self.weight is not None:
            y = self.weight.view(shape) * y + self.bias.view(shape)
        return y.to(input.dtype)

    def _running(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        mean, scale = self._running_statistics(x.dtype)
        return (x - mean.view(shape)) / scale.view(shape)

    def _corrected(self, x: Tensor, shape: tuple[int, ...]) -> Tensor:
        axes = [0, *range(2, x.dim())]
        mean = x.mean(axes)
        centred = x - mean.view(shape)
        variance = centred.square().mean(axes)
        scale = (variance + self.eps).sqrt()
        r, d = self._corrections(mean.detach(), scale.detach())
        self._update(mean.detach(), variance.detach(), x.numel() // x.shape[1])
        return centred / scale.view(shape) * r.view(shape) + d.view(shape)

    def _running_statistics(self, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        return self.running_mean.to(dtype), (self.running_var.to(dtype) + self.eps).sqrt()

    def _corrections(self, mean: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        running_mean, running_scale = self._running_statistics(mean.dtype)
        r = (scale / running_scale).clamp(1 / self.r_max, self.r_max)
        return r, ((mean - running_mean) / running_scale).clamp(-self.d_max, self.d_max)

    @torch.no_grad()
    def _update(self, mean: Tensor, variance: Tensor, values: int) -> None:
        momentum = self.momentum or 0.0
        self.num_batches_tracked.add_(1)
        unbiased = variance * (values / (values - 1))
        # Replaced, not changed in place: a compiled backward pass computes r again from the tensors it was given.
        self.running_mean = self.running_mean.lerp(mean.to(self.running_mean.dtype), momentum)
        self.running_var = self.running_var.lerp(unbiased.to(self.running_var.dtype), momentum)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, r_max={self.r_max}, d_max={self.d_max}"
