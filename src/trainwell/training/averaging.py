"""Exponential moving average of the weights.

    w̄ ← d_t w̄ + (1 − d_t) w,   d_t = min(d, (1 + t) / (10 + t))

The warm-up of d keeps the first averages from clinging to the initialization. Source: deck M, averaging; Polyak &
Juditsky
1992; Kingma & Ba 2015 §7.2 for the exponential form; the warm-up is TensorFlow's.
"""

import copy

import torch
from torch import nn


class Average:
    """The averaged copy of a model; buffers (running moments) are taken from the model as they are.

    Args:
        model: the model that is trained.
        decay: d, per step, in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay
        self._pairs = [(a, p) for a, p in zip(self.model.parameters(), model.parameters(), strict=True)]
        self._buffers = list(zip(self.model.buffers(), model.buffers(), strict=True))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move the average towards the weights; ``step`` is t, from 1."""
        weight = 1.0 - min(self.decay, (1.0 + step) / (10.0 + step))
        torch._foreach_lerp_([a for a, _ in self._pairs], [p for _, p in self._pairs], weight)
        for average, buffer in self._buffers:
            average.copy_(buffer)
