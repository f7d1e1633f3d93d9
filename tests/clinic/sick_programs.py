"""Small training programs for the clinic's tests, well and ill."""

import torch
from torch import nn

from trainwell import Program


def classes(n=300, features=6, seed=0):
    """Three overlapping clouds."""
    generator = torch.Generator().manual_seed(seed)
    y = torch.randint(0, 3, (n,), generator=generator)
    centres = 2.0 * torch.randn(3, features, generator=generator)
    return centres[y] + torch.randn(n, features, generator=generator), y


def program(**changes):
    """A healthy classifier; ``changes`` are fields of the program, or ``net`` and ``rate``."""
    X, y = classes()
    torch.manual_seed(changes.pop("start", 0))
    net = changes.pop("net", None) or nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 3))
    rate = changes.pop("rate", 0.05)
    given = {
        "model": net,
        "train": (X[:200], y[:200]),
        "val": (X[200:], y[200:]),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda parameters: torch.optim.SGD(parameters, lr=rate, momentum=0.9),
        "batch_size": 20,
        "epochs": 10,
    }
    return Program(**{**given, **changes})
