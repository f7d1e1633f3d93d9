"""Small data, models and programs that the suites of the contract are made of, and the lists that hold them."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from torch import Tensor, nn

from trainwell.training.program import Program

SICK: dict[str, tuple[str, Callable[[int], Program]]] = {}
HEALTHY: dict[str, Callable[[int], Program]] = {}


def sick(code: str) -> Any:
    def note(make: Callable[[int], Program]) -> Callable[[int], Program]:
        SICK[make.__name__] = (code, make)
        return make

    return note


def healthy(make: Callable[[int], Program]) -> Callable[[int], Program]:
    HEALTHY[make.__name__] = make
    return make


def standard(x: Any) -> Tensor:
    x = torch.as_tensor(x, dtype=torch.float32)
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-6)


def digits(seed: int, n: int = 900) -> tuple[Tensor, Tensor]:
    x, y = load_digits(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n]
    return torch.tensor(x / 16, dtype=torch.float32)[order], torch.tensor(y)[order]


def wine(seed: int, raw: bool = False) -> tuple[Tensor, Tensor]:
    x, y = load_wine(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32) if raw else standard(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order], torch.tensor(y)[order]


def cancer(seed: int, raw: bool = False) -> tuple[Tensor, Tensor]:
    x, y = load_breast_cancer(return_X_y=True)
    x = torch.tensor(x, dtype=torch.float32) if raw else standard(x)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return x[order], torch.tensor(y, dtype=torch.float32)[order, None]


def diabetes(seed: int) -> tuple[Tensor, Tensor]:
    x, y = load_diabetes(return_X_y=True)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    return standard(x)[order], torch.tensor(y, dtype=torch.float32)[order, None]


def curve(seed: int, n: int = 800) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 6, generator=generator)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:3] + 0.5 * x[:, 3:4]
    return x, (y - y.mean()) / y.std()


def tokens(seed: int, n: int = 1000) -> tuple[Tensor, Tensor]:
    x = torch.randint(0, 20, (n, 10), generator=torch.Generator().manual_seed(seed))
    low, high = (x < 7).sum(1), (x >= 13).sum(1)
    return x, torch.where(low > high, 2, torch.where(low < high, 0, 1))


def waves(seed: int, n: int = 600) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 2, (n,), generator=generator)
    phase, t = torch.rand(n, 1, generator=generator) * 6.3, torch.arange(20.0)
    return torch.sin(t * (0.4 + 0.5 * y[:, None]) + phase)[:, :, None], y


def several_labels(seed: int, n: int = 800) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x, w = torch.randn(n, 12, generator=generator), torch.randn(12, 5, generator=generator)
    return x, (x @ w > 0).float()


class Tagger(nn.Module):
    def __init__(self, outputs: int = 3, words: int = 20) -> None:
        super().__init__()
        self.embed = nn.Embedding(words, 8)
        self.gru = nn.GRU(8, 12, batch_first=True)
        self.fc = nn.Linear(12, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.gru(self.embed(x))[0][:, -1])


class Attentive(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(20, 16)
        self.encoder = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True, norm_first=True)
        self.out = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embed(x)).mean(1))


class Listener(nn.Module):
    def __init__(self, outputs: int = 1) -> None:
        super().__init__()
        self.lstm = nn.LSTM(1, 16, batch_first=True)
        self.fc = nn.Linear(16, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.lstm(x)[0][:, -1])


class Functional(nn.Module):
    """Ends in a function, not in a module."""

    def __init__(self, body: nn.Module, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.body, self.end = body, end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.body(x))


def mlp(*sizes: int, end: nn.Module | None = None, norm: bool = False) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes[:-1]):
        layers += [nn.Linear(a, b), *([nn.BatchNorm1d(b)] if norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]), *([] if end is None else [end]))


def cnn(outputs: int = 10, end: nn.Module | None = None, channels: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
        nn.Flatten(), nn.Linear(256, outputs), *([] if end is None else [end]),
    )  # fmt: skip


def program(
    seed: int,
    data: tuple[Tensor, Tensor],
    model: Callable[[], nn.Module],
    loss: Any,
    task: str,
    lr: float = 0.005,
    sgd: float | None = None,
    **more: Any,
) -> Program:
    torch.manual_seed(seed)
    x, y = data
    cut = int(0.7 * len(x))
    make = (lambda p: torch.optim.Adam(p, lr=lr)) if sgd is None else (lambda p: torch.optim.SGD(p, lr=sgd))
    parts = {"train": (x[:cut], y[:cut]), "val": (x[cut:], y[cut:]), "batch_size": 32, "epochs": 15, "optimizer": make}
    return Program(model=model(), loss=loss, task=task, **{**parts, **more})


def picture(data: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return data[0].view(-1, 1, 8, 8), data[1]


def ce() -> nn.Module:
    return nn.CrossEntropyLoss()


def digits_mlp(seed: int, **how: Any) -> Program:
    given = {"data": digits(seed), "model": lambda: mlp(64, 32, 10), "loss": ce(), "task": "classification"}
    return program(seed, **{**given, **how})
