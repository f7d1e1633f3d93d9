"""Recurrent nets on sequences whose lengths differ, and batch normalization within the recurrence.

A batch of sequences has shape (N, T, F + 1): the last feature is 1 up to a sequence's end and 0 behind it. The task is
to name at the end which of K symbols stood first, after noise: x_0 = (e_y, noise), x_t = (0, noise).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from trainwell.nn import RnnLayer

SYMBOLS, NOISE = 4, 2  # K; features of noise
FEATURES = SYMBOLS + NOISE


class BatchNormRnn(RnnLayer):
    """h_t = tanh(BN_t(W x_t + U h_{t−1}) + b), with moments of its own for each time t of the training sequences.

    In training they are those of the sequences that have not ended at t; in evaluation they are running means, and
    behind the longest training sequence those of its last step (Cooijmans et al. 2017, arXiv:1603.09025).

    Args:
        features: F.
        width: units.
        times: length of the longest training sequence.
    """

    running_mean: Tensor
    running_variance: Tensor

    def __init__(self, features: int, width: int, times: int) -> None:
        super().__init__(features, width, norm="none")
        self.gain = nn.Parameter(torch.ones(width))
        self.register_buffer("running_mean", torch.zeros(times, width))
        self.register_buffer("running_variance", torch.ones(times, width))

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Tensor:
        """Map (N, T, F + 1) to the outputs of all times, (N, T, width), from a state of zeros."""
        alive, driven, weight = x[..., -1:], self.drive(x[..., :-1]), self.weight_state.flatten(0, 1)
        h = torch.zeros_like(driven[:, 0]) if state is None else state[0]
        outputs, means, variances = list[Tensor](), list[Tensor](), list[Tensor]()
        for time in range(x.shape[1]):
            z = driven[:, time] + h @ weight.mT
            if self.training:
                share = alive[:, time] / alive[:, time].sum().clamp(min=1)
                mean = (share * z).sum(0)
                variance = (share * (z - mean) ** 2).sum(0)
                means.append(mean.detach())
                variances.append(variance.detach())
            else:
                known = min(time, len(self.running_mean) - 1)
                mean, variance = self.running_mean[known], self.running_variance[known]
            h = self.activation(self.gain * (z - mean) / (variance + 1e-5).sqrt() + self.bias)
            outputs.append(h)
        if self.training:
            seen = 0.1 * (alive.sum(0) > 0)  # weight of the new moments
            self.running_mean.add_(seen * (torch.stack(means) - self.running_mean))
            self.running_variance.add_(seen * (torch.stack(variances) - self.running_variance))
        return torch.stack(outputs, 1)


class LayerNormRnn(RnnLayer):
    """``RnnLayer`` with layer normalization over (N, T, F + 1)."""

    def forward(self, x: Tensor, state: tuple[Tensor, ...] | None = None) -> Tensor:
        """Map (N, T, F + 1) to the outputs of all times, (N, T, width)."""
        return super().forward(x[..., :-1], state)


class ReadAtEnd(nn.Module):
    """Logits of each sequence from the output at its own last time.

    Args:
        layer: gives the outputs of all times.
        width: of them.
    """

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, SYMBOLS)

    def forward(self, x: Tensor) -> Tensor:
        alive = x[..., -1:]
        last = alive - torch.cat([alive[:, 1:], torch.zeros_like(alive[:, :1])], 1)
        logits: Tensor = self.head((last * self.layer(x)).sum(1))
        return logits


class Sequences(NamedTuple):
    """X of shape (n, T, F + 1), y of shape (n,)."""

    X: Tensor
    y: Tensor


def sequences(n: int, shortest: int, longest: int, generator: torch.Generator) -> Sequences:
    """Draw sequences; half of the lengths are in the lowest eighth of the range."""
    share = torch.rand(n, generator=generator) ** 3
    lengths = shortest + ((longest - shortest + 1) * share).long()
    y = torch.randint(SYMBOLS, (n,), generator=generator)
    X = torch.zeros(n, longest, FEATURES + 1)
    X[:, :, SYMBOLS:FEATURES] = torch.randn(n, longest, NOISE, generator=generator)
    X[torch.arange(n), 0, y] = 1
    X[:, :, -1] = (torch.arange(longest) < lengths[:, None]).float()
    return Sequences(X, y)
