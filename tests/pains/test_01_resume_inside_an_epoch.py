"""Lightning-AI/pytorch-lightning#19764: resuming inside an epoch is left to the user's own loader."""

import pytest
from pain_programs import N, Recorder, epochs_of, interrupted, numbered
from torch.utils.data import DataLoader


@pytest.mark.parametrize("kind", ["tensors", "dataset", "loader"])
@pytest.mark.parametrize("step", [3, 8, 11, 23])
def test_every_row_is_seen_once_an_epoch(kind, step, tmp_path):
    seen = []
    interrupted(lambda: numbered(kind, seen), tmp_path, step)
    assert [sorted(epoch) for epoch in epochs_of(seen)] == [list(range(N))] * 3


def test_a_loader_begun_anew_repeats_and_leaves_out_rows():  # control: the bare loop counts batches alone
    model = Recorder()
    loader = numbered("loader").train
    assert isinstance(loader, DataLoader)
    for i, (x, _) in enumerate(loader):
        if i == 3:
            break  # killed: saved "3 batches done"
        model(x)
    for i, (x, _) in enumerate(loader):
        if i >= 3:
            model(x)
    assert sorted(model.seen) != list(range(N))
