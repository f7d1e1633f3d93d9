"""pytorch/pytorch#31771, huggingface/transformers#4398: DistributedSampler repeats one order without ``set_epoch``."""

import pytest
from pain_programs import N, Numbered, epochs_of, interrupted, numbered, program
from torch.utils.data import DataLoader, DistributedSampler

from trainwell.training import fit


def sampled():
    data = Numbered()
    return DataLoader(data, batch_size=8, sampler=DistributedSampler(data, num_replicas=1, rank=0, seed=5))


def with_sampler(seen):
    made = numbered("tensors", seen)
    return program(model=made.model, train=sampled(), val=None, loss=made.loss, optimizer=made.optimizer)


@pytest.mark.parametrize("kind", ["tensors", "dataset", "loader", "sampler"])
def test_epochs_have_the_same_rows_in_different_orders(kind):
    seen = []
    fit(with_sampler(seen) if kind == "sampler" else numbered(kind, seen))
    orders = epochs_of(seen)
    assert [sorted(order) for order in orders] == [list(range(N))] * 3
    assert orders[0] != orders[1] != orders[2] != orders[0]


@pytest.mark.parametrize("step", [11, 16])
def test_the_samplers_order_is_that_of_its_epoch_after_a_resume_too(step, tmp_path):
    whole, again = [], []
    fit(with_sampler(whole))
    interrupted(lambda: with_sampler(again), tmp_path, step)
    assert again == whole


def test_the_sampler_alone_repeats_itself():  # control
    loader = sampled()
    first, second = ([int(value) for x, _ in loader for value in x[:, 0]] for _ in range(2))
    assert first == second
