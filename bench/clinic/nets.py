"""Networks that several of the suite's programs share."""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn


def mlp(*widths: int, activation: Callable[[], nn.Module] = nn.ReLU) -> nn.Sequential:
    """Linear layers of these widths, an activation between each two of them."""
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(widths):
        layers += [nn.Linear(wide, narrow), activation()]
    return nn.Sequential(*layers[:-1])


def digit_cnn(*, channels: int = 8, classes: int = 10) -> nn.Sequential:
    """Two convolutions with pooling for images of (1, 8, 8)."""
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * channels, classes),
    )


def wave_cnn(*, classes: int = 3, width: int = 8) -> nn.Sequential:
    """Two convolutions over time for rows of (1, length)."""
    return nn.Sequential(
        nn.Conv1d(1, width, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(width, 2 * width, 5, padding=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Linear(8 * width, classes),
    )


class TokenRNN(nn.Module):
    """Embedding, one recurrent layer, a linear head on its last state."""

    def __init__(self, words: int, classes: int, width: int = 16, kind: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.rnn = kind(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(self.embed(x))[0][:, -1])


class SeriesRNN(nn.Module):
    """One recurrent layer over (batch, time, features), a linear head on its last state."""

    def __init__(self, features: int, outputs: int, width: int = 24, kind: type[nn.RNNBase] = nn.GRU) -> None:
        super().__init__()
        self.rnn = kind(features, width, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.rnn(x)[0][:, -1])


class Attention(nn.Module):
    """A small encoder over tokens: embedding, positions, encoder layers, mean over time, a linear head."""

    def __init__(
        self,
        words: int,
        classes: int,
        *,
        length: int = 12,
        width: int = 16,
        layers: int = 1,
        dropout: float = 0.0,
        norm_first: bool = True,
    ) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width, 2, 2 * width, dropout=dropout, batch_first=True, norm_first=norm_first
        )
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.encoder(self.embed(x) + self.place).mean(1))


class ResidualMLP(nn.Module):
    """Residual blocks h + W₂ ReLU(W₁ h) between two linear layers; ``gain`` multiplies the blocks' initial weights."""

    def __init__(self, features: int, outputs: int, *, width: int = 32, blocks: int = 4, gain: float = 1.0) -> None:
        super().__init__()
        self.inlet = nn.Linear(features, width)
        self.blocks = nn.ModuleList(mlp(width, width, width) for _ in range(blocks))
        self.outlet = nn.Linear(width, outputs)
        with torch.no_grad():
            for parameter in self.blocks.parameters():
                parameter.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        h = self.inlet(x)
        for block in self.blocks:
            h = h + block(h)
        return self.outlet(h)
