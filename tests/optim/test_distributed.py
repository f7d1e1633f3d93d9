"""Methods under DistributedDataParallel: two processes step alike, and as one process on the whole batch would."""

import copy
import datetime
import pathlib

import pytest
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from trainwell.optim import METHODS

ALIKE = [name for name, method in METHODS.items() if method.ddp]
STEPS, ROWS = 6, 8
BY_ROUNDING = {"soap"}  # within an eigenspace of near-equal eigenvalues its basis is a matter of rounding


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3)).double()


def batch(step: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(step)
    x = torch.randn(2 * ROWS, 5, dtype=torch.float64, generator=generator)
    return x, torch.randint(3, (2 * ROWS,), generator=generator)


def train(model: nn.Module, called: nn.Module, name: str, rows: slice) -> nn.Module:
    optimizer = METHODS[name](model, lr=0.01)
    for step in range(STEPS):
        x, y = batch(step)
        optimizer.zero_grad()
        nn.functional.cross_entropy(called(x[rows]), y[rows]).backward()
        optimizer.step()
    if hasattr(optimizer, "eval"):
        optimizer.eval()
    return model


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    store = dist.FileStore(str(pathlib.Path(folder) / "store"), 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2, timeout=datetime.timedelta(seconds=60))
    rows = slice(rank * ROWS, (rank + 1) * ROWS)
    states = {}
    for name in ALIKE:
        model = network()
        states[name] = train(model, DistributedDataParallel(model), name, rows).state_dict()
    torch.save(states, pathlib.Path(folder) / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_step_as_one(tmp_path: pathlib.Path) -> None:
    torch.multiprocessing.spawn(process, (str(tmp_path),), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))
    assert len(ALIKE) > 20
    for name in ALIKE:
        alone = network()
        start = copy.deepcopy(alone.state_dict())
        train(alone, alone, name, slice(None))
        for key, value in alone.state_dict().items():
            assert torch.equal(first[name][key], second[name][key]), name
            if name not in BY_ROUNDING:
                assert_close(first[name][key], value, rtol=1e-6, atol=1e-8, msg=name)
            assert not torch.equal(value, start[key]), name
