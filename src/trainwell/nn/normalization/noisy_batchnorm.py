"""Batch normalization followed by noise whose mean and variance change with every step.

In train mode every channel c draws anew at each step t, and every value i around that,

    m_{t,c} ~ U(−mean_range, mean_range),    s_{t,c} ~ U(1, scale_range),
    y_i = (s_{t,c} + jitter · a_i) · x̂_i + m_{t,c} + jitter · b_i,    a_i, b_i ~ U(−1, 1),

so that the distribution which the next layer sees moves more between steps than without any normalization. Where such a
net still trains like one with plain batch normalization, stable distributions cannot be what helps. In eval mode there
is no noise, and the layer is batch normalization.
Source: Santurkar et al. 2018, "How Does Batch Normalization Help Optimization?", §2.2 and appendix A,
arXiv:1805.11604; the defaults are its constants, from memory.
"""

import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class NoisyBatchNorm(_BatchNorm):
    """Batch normalization of inputs of shape (N, C, *) and, in train mode, noise from torch's global generator.

    Args:
        num_features: C.
        mean_range: largest shift of a channel in one step, ≥ 0.
        scale_range: largest factor of a channel in one step, ≥ 1.
        jitter: half the range of what every value's own shift and factor add, ≥ 0.
        eps: ε > 0, added to the variances.
        momentum: weight of the batch's statistics in the running ones.
        affine: learn a scale and a shift per channel, before the noise.

    Raises:
        ValueError: if an argument is out of range.
    """

    def __init__(
        self,
        num_features: int,
        *,
        mean_range: float = 0.5,
        scale_range: float = 1.25,
        jitter: float = 0.1,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = True,
    ) -> None:
        if mean_range < 0 or scale_range < 1 or jitter < 0:
            raise ValueError(
                f"NoisyBatchNorm: mean_range={mean_range}, scale_range={scale_range}, jitter={jitter}, but "
                "mean_range ≥ 0, scale_range ≥ 1 and jitter ≥ 0 must hold."
            )
        if eps <= 0:
            raise ValueError(f"NoisyBatchNorm: eps={eps} would divide by zero. Use eps > 0, say 1e-5.")
        super().__init__(num_features, eps, momentum, affine)
        self.mean_range, self.scale_range, self.jitter = mean_range, scale_range, jitter

    def _check_input_dim(self, input: Tensor) -> None:
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f"NoisyBatchNorm: input of shape {tuple(input.shape)}, but num_features={self.num_features} needs "
                f"(N, {self.num_features}, *)."
            )
        if self.training and input.numel() == self.num_features:
            raise ValueError(
                f"NoisyBatchNorm: input of shape {tuple(input.shape)} has one value per channel in train mode. "
                "Use a larger batch, or model.eval()."
            )

    def forward(self, input: Tensor) -> Tensor:
        """Normalize, and in train mode disturb.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a channel has one value.
        """
        x = super().forward(input)
        if not self.training:
            return x
        channel = x[:1].detach().flatten(2)[..., :1] if x.dim() > 2 else x[:1].detach()
        channel = channel.reshape(1, -1, *[1] * (x.dim() - 2))
        shift = self.mean_range * _centred_like(channel)
        factor = 1 + (self.scale_range - 1) * torch.rand_like(channel)
        return (factor + self.jitter * _centred_like(x)) * x + (shift + self.jitter * _centred_like(x))

    def extra_repr(self) -> str:
        noise = f"mean_range={self.mean_range}, scale_range={self.scale_range}, jitter={self.jitter}"
        return f"{super().extra_repr()}, {noise}"


def _centred_like(x: Tensor) -> Tensor:
    """U(−1, 1) of the shape of x."""
    return 2 * torch.rand_like(x) - 1
