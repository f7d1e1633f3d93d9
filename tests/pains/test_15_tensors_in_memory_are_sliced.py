"""pytorch/pytorch#106704, #4959, #10260: a DataLoader over tensors in memory costs 15 to 300 times a slice.

Timings are in ``bench/overhead.py``; here is what makes the difference: no loader, no sample by sample collation.
"""

import pytest
import torch
from pain_programs import STEPS, Numbered, numbered, program, table
from torch.utils.data import DataLoader

from trainwell.training import Training, batches, fit


@pytest.fixture
def loaders(monkeypatch):
    """The number of DataLoaders made."""
    made = []

    class Counted(DataLoader):
        def __init__(self, *args, **options):
            made.append(self)
            super().__init__(*args, **options)

    monkeypatch.setattr(batches, "DataLoader", Counted)
    monkeypatch.setattr(torch.utils.data, "DataLoader", Counted)
    return made


@pytest.mark.parametrize("form", ["tensors", "arrays", "a dict of tensors"])
def test_no_loader_is_made_for_what_is_in_memory(form, loaders):
    x, y = table()
    data = {"tensors": (x, y), "arrays": (x.numpy(), y.numpy()), "a dict of tensors": ({"x": x}, y)}[form]

    class First(torch.nn.Linear):
        def forward(self, given):
            return super().forward(given["x"] if isinstance(given, dict) else given)

    fit(program(model=First(5, 3), train=data, val=data))
    assert not loaders


def test_a_dataset_has_to_be_collated(loaders):  # control
    fit(numbered("dataset"))
    assert loaders


def test_a_batch_is_one_gather_a_tensor(monkeypatch):
    calls = []
    real = torch.Tensor.index_select
    monkeypatch.setattr(torch.Tensor, "index_select", lambda *args: (calls.append(1), real(*args))[1])
    fit(program(val=None, epochs=2), training=Training(log_every=1000))
    assert len(calls) == 2 * 2 * STEPS  # X and y of every step


def test_collation_reads_every_row(monkeypatch):  # control
    rows = []
    real = Numbered.__getitem__
    monkeypatch.setattr(Numbered, "__getitem__", lambda self, i: (rows.append(i), real(self, i))[1])
    fit(numbered("dataset"))
    assert len(rows) == 3 * 61
