"""Data of the suite's programs: tables that scikit-learn ships, and small drawn ones, split by the seed."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from sklearn import datasets
from torch import Tensor

Part = tuple[Tensor, Tensor]
Parts = tuple[Part, Part]


def split(x: Tensor, y: Tensor, seed: int, share: float = 0.7) -> Parts:
    """Training and validation part, drawn by the seed."""
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    train, val = order.split([int(share * len(x)), len(x) - int(share * len(x))])
    return (x[train], y[train]), (x[val], y[val])


def standardized(x: Tensor) -> Tensor:
    """Mean 0 and variance 1 in each column; constant columns stay constant."""
    return (x - x.mean(0)) / x.std(0).clamp(min=1e-6)


@cache
def _shipped(load: Callable[..., Any]) -> tuple[Tensor, Tensor]:
    x, y = load(return_X_y=True)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


def digits(seed: int, *, raw: bool = False, image: bool = False, share: float = 0.7) -> Parts:
    """1797 handwritten digits of 8 × 8 pixels: 0 … 1, or 0 … 16 where raw; as rows of 64 or images (1, 8, 8)."""
    x, y = _shipped(datasets.load_digits)
    x = x if raw else x / 16
    return split(x.view(-1, 1, 8, 8) if image else x, y, seed, share)


def cancer(seed: int, *, raw: bool = False, column: bool = True) -> Parts:
    """569 tumours with 30 features, two classes; labels as a float column (n, 1), or as indices."""
    x, y = _shipped(datasets.load_breast_cancer)
    return split(x if raw else standardized(x), y.float()[:, None] if column else y, seed)


def wine(seed: int, *, raw: bool = False) -> Parts:
    """178 wines with 13 features, three classes."""
    x, y = _shipped(datasets.load_wine)
    return split(x if raw else standardized(x), y, seed)


def iris(seed: int, *, raw: bool = False) -> Parts:
    """150 flowers with 4 features, three classes."""
    x, y = _shipped(datasets.load_iris)
    return split(x if raw else standardized(x), y, seed)


def diabetes(seed: int, *, raw_target: bool = False) -> Parts:
    """442 patients with 10 standardized features; progression as a column, standardized or 25 … 346 where raw."""
    x, y = _shipped(datasets.load_diabetes)
    y = y.float()[:, None]
    return split(standardized(x), y if raw_target else standardized(y), seed)


def friedman(seed: int, n: int = 900, features: int = 8, noise: float = 0.5) -> Parts:
    """Friedman's first surface: five of the features matter; everything standardized."""
    x, y = datasets.make_friedman1(n, n_features=features, noise=noise, random_state=seed)
    inputs, target = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)[:, None]
    return split(standardized(inputs), standardized(target), seed)


def blobs(seed: int, n: int = 900, features: int = 10, classes: int = 4, distance: float = 2.5) -> Parts:
    """Gaussian clouds of unit variance around centres at about ``distance`` from the origin."""
    draw = torch.Generator().manual_seed(seed)
    centres = distance * torch.nn.functional.normalize(torch.randn(classes, features, generator=draw), dim=1)
    y = torch.randint(0, classes, (n,), generator=draw)
    return split(centres[y] + torch.randn(n, features, generator=draw), y, seed)


def rings(seed: int, n: int = 900, noise: float = 0.1) -> Parts:
    """Two interleaved half-moons in the plane, two classes."""
    x, y = datasets.make_moons(n, noise=noise, random_state=seed)
    return split(standardized(torch.tensor(x, dtype=torch.float32)), torch.tensor(y), seed)


def waves(seed: int, n: int = 900, length: int = 32, classes: int = 3, noise: float = 0.4) -> Parts:
    """Noisy sines (n, 1, length) of random phase; the class is the frequency."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (n,), generator=draw)
    time = torch.arange(length) / length
    phase = torch.rand(n, 1, generator=draw)
    clean = torch.sin(2 * torch.pi * ((y[:, None] + 1.0) * 1.5 * time + phase))
    return split((clean + noise * torch.randn(n, length, generator=draw))[:, None], y, seed)


def tokens(seed: int, n: int = 1000, length: int = 12, words: int = 20) -> Parts:
    """Token rows (n, length): class 2, 1 or 0 as more, as many or fewer of the low third than of the high third."""
    x = torch.randint(0, words, (n, length), generator=torch.Generator().manual_seed(seed))
    low, high = (x < words // 3).sum(1), (x >= words - words // 3).sum(1)
    return split(x, 1 + (low > high).long() - (low < high).long(), seed)


def majority(seed: int, n: int = 1000, length: int = 12, words: int = 4) -> Parts:
    """Token rows (n, length) whose class is the most frequent token, which fills half of the places."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(0, words, (n, 1), generator=draw)
    x = torch.where(
        torch.rand(n, length, generator=draw) < 0.5, y, torch.randint(0, words, (n, length), generator=draw)
    )
    return split(x, torch.nn.functional.one_hot(x, words).sum(1).argmax(1), seed)


def sums(seed: int, n: int = 900, length: int = 12) -> Parts:
    """The adding problem: rows (n, length, 2) of numbers and marks; the target is the sum of the two marked numbers."""
    draw = torch.Generator().manual_seed(seed)
    numbers = torch.randn(n, length, generator=draw)
    places = torch.rand(n, length, generator=draw).argsort(1)[:, :2]
    marks = torch.zeros(n, length).scatter_(1, places, 1.0)
    return split(torch.stack([numbers, marks], 2), (numbers * marks).sum(1, keepdim=True), seed)


def tags(seed: int, n: int = 900, features: int = 12, labels: int = 5, offset: float = 0.0) -> Parts:
    """Rows with several yes-or-no labels each, told by noisy hyperplanes; a larger offset makes every label rarer."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, features, generator=draw)
    planes = torch.randn(features, labels, generator=draw) / features**0.5
    return split(x, (x @ planes + 0.1 * torch.randn(n, labels, generator=draw) > offset).float(), seed)
