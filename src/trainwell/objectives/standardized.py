"""A regression loss in units of the target's standard deviation.

    L(ŷ, y) = loss((ŷ − m) / s, (y − m) / s)

The model answers in the target's own unit while the gradient has the size it would have for a standardized target;
m and s are fitted on the training part. Source: deck T, normalizing the data, applied to the target.
"""

import torch
from torch import Tensor, nn


class StandardizedLoss(nn.Module):
    """Apply ``loss`` to output and target, both shifted by ``mean`` and divided by ``std``.

    Args:
        loss: a module of (output, target), mean-reduced.
        mean, std: shape (targets,) or scalar, in the target's unit; std > 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, loss: nn.Module, mean: Tensor, std: Tensor) -> None:
        super().__init__()
        self.loss = loss
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Scalar loss; a target of shape (n,) is taken as (n, 1) when the output is (n, 1)."""
        if target.dim() == output.dim() - 1 and output.shape[-1] == 1:
            target = target.unsqueeze(-1)
        return self.loss((output - self.mean) / self.std, (target - self.mean) / self.std)
