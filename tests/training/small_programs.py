"""Small seeded programs, the bare loop they are compared with, and ways to stop them."""

import os
import random
import signal

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset

from trainwell.training import Program, Training, fit, stopping
from trainwell.training.batches import permutation

N, FEATURES, CLASSES = 61, 5, 3  # 61 = 7 · 8 + 5: batches of 8 leave a last one of 5


def table(n=N, seed=0):
    """(X, y) of three noisy, linearly separable classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, FEATURES, generator=generator)
    return x, (x @ torch.randn(FEATURES, CLASSES, generator=generator)).argmax(1)


def mlp(dropout=0.0, norm=False, seed=1):
    """5 → 16 → 3, with the same weights for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        middle = [nn.BatchNorm1d(16)] if norm else []
        return nn.Sequential(nn.Linear(FEATURES, 16), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, CLASSES))


def program(model=None, **changes):
    """A classification in 3 epochs of 8 steps."""
    given = {
        "model": model if model is not None else mlp(),
        "train": table(),
        "val": table(40, seed=7),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9),
        "batch_size": 8,
        "epochs": 3,
    }
    return Program(**{**given, **changes})


class Rows(Dataset):
    """A map-style dataset that draws from the three global generators, as augmenting datasets do."""

    def __init__(self, noise=0.0, n=N):
        self.x, self.y = table(n)
        self.noise = noise

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        jitter = torch.rand(()) + random.random() + np.random.rand()  # noqa: NPY002
        return self.x[i] + self.noise * float(jitter), self.y[i]


def bare_loop(program, seed=0):
    """The program as a page of plain PyTorch would run it; returns the losses."""
    model, loss, losses = program.model, program.loss, []
    optimizer = program.optimizer(model.parameters())
    scheduler = program.scheduler(optimizer) if program.scheduler else None
    x, y = program.train
    torch.manual_seed(seed)
    for epoch in range(1, program.epochs + 1):
        model.train()
        order = permutation(seed, epoch, len(y)) if program.shuffle else torch.arange(len(y))
        for index in order.split(program.batch_size):
            if len(index) == 1:
                continue
            optimizer.zero_grad()
            value = loss(model(x[index]), y[index])
            value.backward()
            if program.clip_grad is not None:
                nn.utils.clip_grad_norm_(model.parameters(), program.clip_grad)
            optimizer.step()
            if scheduler:
                scheduler.step()
            losses.append(value.item())
    return losses


def weights(model):
    """All parameters and buffers in one vector of float64."""
    return torch.cat([v.detach().double().flatten() for v in model.state_dict().values()])


class StepLosses:
    """A callback that keeps the loss of every step."""

    def __init__(self):
        self.values = []

    def __call__(self, event, state):
        if event == "step_end":
            self.values.append(state.loss.item())


def kill_at(step, event="step_end", signum=signal.SIGTERM):
    """A callback that sends this process a signal at one event of one step."""

    def callback(name, state):
        if name == event and state.step == step:
            os.kill(os.getpid(), signum)

    return callback


def run_in_pieces(make, training, folder, stops):
    """Fit, stopped at each of ``stops`` (step, event) and taken up again with a fresh program and other seeds."""
    for step, event in stops:
        try:
            fit(make(), training=training, folder=folder, callbacks=[kill_at(step, event)], resume=True)
        except stopping.Stopped as stop:
            assert stop.folder == folder
        else:
            raise AssertionError(f"the signal at {event} of step {step} did not stop the run")
        torch.manual_seed(999)
        random.seed(999)
        np.random.seed(999)  # noqa: NPY002
    return fit(make(), training=training, folder=folder, resume=True)


__all__ = [
    "CLASSES",
    "FEATURES",
    "N",
    "Rows",
    "StepLosses",
    "Training",
    "bare_loop",
    "kill_at",
    "mlp",
    "program",
    "run_in_pieces",
    "table",
    "weights",
]
