"""Ghost batch normalization: the statistics of small batches within a large one.

A batch of N samples is cut into k = ⌈N/size⌉ ghost batches of nearly equal length, in the order of the samples, and
each is normalized by its own mean and variance. The running statistics see one update per ghost batch, in that order:

    μ̄ ← (1 − momentum) μ̄ + momentum · μ_ghost.

The noise of the statistics is that of batches of ``size``, whatever N is; with N ≤ size this is batch normalization.
In eval mode the two are the same function.
Source: Hoffer, Hubara & Soudry 2017, "Train longer, generalize better", Algorithm 1, arXiv:1705.08741.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm


class GhostBatchNorm(_BatchNorm):
    """Batch normalization of inputs of shape (N, C, *) by ghost batches.

    Args:
        num_features: C.
        size: largest number of samples of a ghost batch, ≥ 2.
        eps: ε > 0, added to the variances.
        momentum: weight of a ghost batch's statistics in the running ones.
        affine: learn a scale and a shift per channel.

    Raises:
        ValueError: if size < 2, eps ≤ 0 or momentum is not in (0, 1].
    """

    def __init__(
        self, num_features: int, *, size: int = 32, eps: float = 1e-5, momentum: float = 0.1, affine: bool = True
    ) -> None:
        if size < 2:
            raise ValueError(f"GhostBatchNorm: a ghost batch of size={size} has no variance. Use size ≥ 2, say 32.")
        if eps <= 0:
            raise ValueError(f"GhostBatchNorm: eps={eps} would divide by zero. Use eps > 0, say 1e-5.")
        if not 0 < momentum <= 1:
            raise ValueError(f"GhostBatchNorm: momentum={momentum} is the weight of the new values, 0 < momentum ≤ 1.")
        super().__init__(num_features, eps, momentum, affine)
        self.size = size

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by ghost batches in train mode, by the running statistics in eval mode.

        Raises:
            ValueError: if the channels do not fit, or in train mode if a ghost batch has one value per channel.
        """
        if input.dim() < 2 or input.shape[1] != self.num_features:
            raise ValueError(
                f"GhostBatchNorm: input of shape {tuple(input.shape)}, but num_features={self.num_features} needs "
                f"(N, {self.num_features}, *)."
            )
        if not self.training:
            return self._normalize(input)
        ghosts = input.tensor_split(-(-input.shape[0] // self.size))
        if ghosts[-1].numel() == self.num_features:  # the last is among the shortest
            raise ValueError(
                f"GhostBatchNorm: a batch of {input.shape[0]} in ghost batches of size={self.size} leaves one value "
                "per channel. Use another batch size or model.eval()."
            )
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        return torch.cat([self._normalize(ghost) for ghost in ghosts])

    def _normalize(self, x: Tensor) -> Tensor:
        momentum = self.momentum or 0.0
        mean, var = self.running_mean, self.running_var
        return F.batch_norm(x, mean, var, self.weight, self.bias, self.training, momentum, self.eps)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, size={self.size}"
