"""Batch normalization whose running moments are the plain mean of all batches seen.

After n batches with moments m_1 … m_n (the variance unbiased, as in PyTorch):

    m̄_n = m̄_{n−1} + (m_n − m̄_{n−1}) / n = (m_1 + … + m_n) / n,

what ``nn.BatchNorm1d(momentum=None)`` computes too; but that one reads n on the host in every step, which keeps it from
compiling whole and from ``torch.func.vmap``. In eval mode both are the same function.
Source: Ioffe & Szegedy 2015, "Batch Normalization", Algorithm 2, line 10, arXiv:1502.03167.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from trainwell.nn.normalization.channels import require_channels, require_positive, require_values


class CumulativeBatchNorm(_BatchNorm):
    """Batch normalization of inputs of shape (N, C, *) with cumulative running moments.

    Args:
        num_features: C.
        eps: ε > 0, added to the variances.
        affine: learn a scale and a shift per channel.

    Raises:
        ValueError: if eps ≤ 0.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor

    def __init__(self, num_features: int, *, eps: float = 1e-5, affine: bool = True) -> None:
        require_positive(self, eps)
        super().__init__(num_features, eps, None, affine)

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the batch's moments in train mode, by the running ones in eval mode.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a channel has one value.
        """
        require_channels(self, input, self.num_features)
        if not self.training:
            return F.batch_norm(input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        require_values(self, input, self.num_features)
        # With a momentum of 1 the library writes the batch's own moments here, without a second pass over the data.
        mean, variance = torch.zeros_like(self.running_mean), torch.ones_like(self.running_var)
        y = F.batch_norm(input, mean, variance, self.weight, self.bias, True, 1.0, self.eps)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            share = self.num_batches_tracked.to(mean.dtype).reciprocal()
            self.running_mean += share * (mean - self.running_mean)
            self.running_var += share * (variance - self.running_var)
        return y
