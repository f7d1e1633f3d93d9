"""Training loops as people write them, healthy and sick in one known way, to run under the watch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainwell.clinic.watching import Watch


@dataclass
class Parts:
    """What a loop trains."""

    net: nn.Module
    optimizer: Any
    loss: Any
    x: Tensor
    y: Tensor

    def batches(self, steps: int, size: int = 32) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.randperm(len(self.x), generator=torch.Generator().manual_seed(3))
        for step in range(steps):
            index = order[torch.arange(step * size, (step + 1) * size) % len(order)]
            yield self.x[index], self.y[index]


def attentive(net: nn.Module, optimizer: Any, loss: Any = None, loader: Any = None) -> Watch:
    """A watch that looks at every step, whatever it costs, and says nothing on stderr."""
    watch = Watch(net, optimizer, loss, loader, told=lambda finding: None, share=1.0)
    watch.pace.due = lambda step: True  # type: ignore[method-assign]
    return watch


def points(features: int = 20, classes: int = 4, n: int = 512) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, features, generator=torch.Generator().manual_seed(0))
    return x, x[:, :classes].argmax(1)


def mlp(lr: float = 0.1, activation: Callable[[], nn.Module] = nn.ReLU) -> Parts:
    torch.manual_seed(1)
    net = nn.Sequential(nn.Linear(20, 64), activation(), nn.Linear(64, 64), activation(), nn.Linear(64, 4))
    return Parts(net, torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9), nn.CrossEntropyLoss(), *points())


def cnn() -> Parts:
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1),
        nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 4),
    )  # fmt: skip
    x, y = points(64)
    return Parts(net, torch.optim.AdamW(net.parameters(), lr=1e-3), nn.CrossEntropyLoss(), x.view(-1, 1, 8, 8), y)


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.cell, self.head = nn.Embedding(50, 16), nn.LSTM(16, 24, batch_first=True), nn.Linear(24, 4)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.cell(self.embed(tokens))[0][:, -1])


def lstm() -> Parts:
    torch.manual_seed(1)
    net = Recurrent()
    x = torch.randint(0, 50, (512, 10), generator=torch.Generator().manual_seed(0))
    return Parts(net, torch.optim.Adam(net.parameters(), lr=3e-3), nn.CrossEntropyLoss(), x, x[:, -1] % 4)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(5, 32)
        self.layers = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
        self.head = nn.Linear(32, 4)

    def forward(self, x: Tensor) -> Tensor:
        mask = torch.triu(torch.full((x.shape[1], x.shape[1]), -torch.inf), 1)
        return self.head(self.layers(self.embed(x), src_mask=mask).mean(1))


def transformer() -> Parts:
    torch.manual_seed(1)
    net = Encoder()
    x, y = points(20)
    return Parts(net, torch.optim.AdamW(net.parameters(), lr=1e-3), nn.CrossEntropyLoss(), x.view(-1, 4, 5), y)


def frozen_backbone() -> Parts:
    """A backbone that stays in eval() and is not trained, with a head that is."""
    parts = cnn()
    parts.net.eval()
    for p in parts.net.parameters():
        p.requires_grad_(False)
    head = parts.net[-1] = nn.Linear(64, 4)
    parts.optimizer = torch.optim.SGD(head.parameters(), lr=0.05)
    return parts


HEALTHY = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer, "frozen backbone": frozen_backbone}


def train(parts: Parts, steps: int = 60, **how: Any) -> None:
    """The usual loop; ``zero=False`` forgets zero_grad, ``accumulate`` backward passes make a step."""
    accumulate, autocast, zero = how.get("accumulate", 1), how.get("autocast", False), how.get("zero", True)
    for number, (x, y) in enumerate(parts.batches(steps * accumulate), start=1):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = parts.loss(parts.net(x), y)
        (loss / accumulate).backward()
        if number % accumulate == 0:
            parts.optimizer.step()
            if zero:
                parts.optimizer.zero_grad(set_to_none=how.get("none", True))


def gan(steps: int = 80) -> list[Watch]:
    """Two nets that play against each other, each under a watch of its own."""
    torch.manual_seed(1)
    generator = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2))
    critic = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
    first = torch.optim.Adam(critic.parameters(), lr=2e-3, betas=(0.5, 0.999))
    second = torch.optim.Adam(generator.parameters(), lr=2e-3, betas=(0.5, 0.999))
    loss = nn.BCEWithLogitsLoss()
    watches = [attentive(critic, first, loss).start(), attentive(generator, second, loss).start()]
    for _ in range(steps):
        real = torch.randn(64, 2) * 0.1 + 1
        fake = generator(torch.randn(64, 8))
        first.zero_grad()
        told = loss(critic(real), torch.ones(64, 1)) + loss(critic(fake.detach()), torch.zeros(64, 1))
        told.backward()
        first.step()
        second.zero_grad()
        loss(critic(fake), torch.ones(64, 1)).backward()
        second.step()
    return [watch.stop() for watch in watches]


class Cut(nn.Module):
    """Takes the logarithm of what may be zero: −∞, and NaN where it is multiplied by zero."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.log(F.relu(h)) * 0.0 + h


def cnn_at(lr: float) -> Parts:
    """The convolutional net under plain descent."""
    parts = cnn()
    parts.optimizer = torch.optim.SGD(parts.net.parameters(), lr=lr)
    return parts
