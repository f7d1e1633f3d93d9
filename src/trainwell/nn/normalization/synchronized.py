"""Batch normalization over the batches of all processes, by PyTorch's ``nn.SyncBatchNorm``.

Each of the P processes of a group sees its own part of a batch; the mean and variance are those of the whole, so P
small batches are normalized as one of P times the size. PyTorch's layer does so on GPUs alone, and outside a process
group it becomes ordinary batch normalization without a word: here that is an error. Eval mode works everywhere.
"""

import torch.distributed
from torch import Tensor, nn


class SynchronizedBatchNorm(nn.SyncBatchNorm):
    """``nn.SyncBatchNorm`` that trains only where it can synchronize."""

    layer_kind = "norm"

    def forward(self, input: Tensor) -> Tensor:
        """Normalize by the moments of all processes in train mode, by the running ones in eval mode.

        Raises:
            ValueError: in train mode on a CPU or outside a process group.
        """
        if self.training:
            grouped = torch.distributed.is_available() and torch.distributed.is_initialized()
            if input.device.type == "cpu" or not grouped:
                place = "outside a process group" if not grouped else "on the CPU"
                raise ValueError(
                    f"SynchronizedBatchNorm: train mode {place} has nothing to synchronize with. Train on GPUs under "
                    "torchrun, or use norm='batch'."
                )
        return super().forward(input)
