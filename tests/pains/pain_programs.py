"""Small seeded programs that the tests of complaints share, and ways to stop a run."""

import os
import signal

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from trainwell.training import Program, Training, fit, stopping

N, FEATURES, CLASSES = 61, 5, 3  # batches of 8: seven full ones and one of 5
STEPS = 8  # an epoch
SETTINGS = Training(log_every=3, checkpoint_every=5)


def table(n=N, seed=0):
    """(X, y) of three linearly separable classes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, FEATURES, generator=generator)
    return x, (x @ torch.randn(FEATURES, CLASSES, generator=generator)).argmax(1)


def mlp(dropout=0.3, norm=False):
    """5 → 16 → 3, with the same weights each time."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        middle = [nn.BatchNorm1d(16)] if norm else []
        return nn.Sequential(nn.Linear(FEATURES, 16), *middle, nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, CLASSES))


def adam(parameters):
    return torch.optim.AdamW(parameters, lr=0.02)


def program(**changes):
    """A classification in 3 epochs of 8 steps."""
    given = {
        "model": mlp(),
        "train": table(),
        "val": table(40, seed=7),
        "loss": nn.CrossEntropyLoss(),
        "optimizer": adam,
        "batch_size": STEPS,
        "epochs": 3,
    }
    return Program(**{**given, **changes})


class Numbered(Dataset):
    """Rows whose single feature is their number."""

    def __len__(self):
        return N

    def __getitem__(self, i):
        return torch.tensor([float(i)]), torch.tensor([float(i)])


class Recorder(nn.Module):
    """Notes every row that it is trained on."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen = []

    def forward(self, x):
        if self.training:
            self.seen += [int(value) for value in x[:, 0].tolist()]
        return x * self.scale


def numbered(kind, seen=None):
    """A program whose model notes the order of the rows, from tensors, a dataset or a loader; it learns nothing."""
    x = torch.arange(float(N))[:, None]
    data = {"tensors": (x, x), "dataset": Numbered(), "loader": DataLoader(Numbered(), batch_size=8, shuffle=True)}[
        kind
    ]
    model = Recorder()
    model.seen = [] if seen is None else seen
    return program(model=model, train=data, val=None, loss=nn.MSELoss(), optimizer=lambda p: torch.optim.SGD(p, lr=0.0))


def epochs_of(rows):
    """The rows seen, cut into epochs."""
    return [rows[i : i + N] for i in range(0, len(rows), N)]


def kill_at(step, event="step_end"):
    """A callback that sends this process SIGTERM at one event of one step."""

    def callback(name, state):
        if name == event and state.step == step:
            os.kill(os.getpid(), signal.SIGTERM)

    return callback


def interrupted(make, folder, step, event="step_end", training=SETTINGS, callbacks=()):
    """Run, stopped at one moment and taken up by what stands for a new process: a fresh program, another seed."""
    try:
        fit(make(), training=training, folder=folder, callbacks=[*callbacks, kill_at(step, event)])
    except stopping.Stopped:
        torch.manual_seed(999)
    else:
        raise AssertionError(f"the signal at {event} of step {step} did not stop the run")
    return fit(make(), training=training, folder=folder, resume=True, callbacks=callbacks)


def weights(model):
    """All parameters and buffers in one vector."""
    return torch.cat([value.detach().double().flatten() for value in model.state_dict().values()])
