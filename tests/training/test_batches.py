import numpy as np
import pytest
import torch
from small_programs import N, Rows, mlp, program, table
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from trainwell.errors import InputError
from trainwell.optim import batch_growth
from trainwell.training import fit
from trainwell.training.batches import FromLoader, InMemory, last_batch, mapped, permutation, source
from trainwell.training.method import ByEpoch

CPU = torch.device("cpu")


def numbers(batches):
    return [batch[1].tolist() for batch in batches]


@pytest.mark.parametrize(
    ("n", "size", "batches"),
    [(16, 8, 2), (17, 8, 2), (18, 8, 3), (1, 8, 1), (1, 1, 1), (5, 1, 5), (8, 8, 1), (9, 8, 1)],
)
def test_a_leftover_of_one_is_dropped_unless_it_is_all_there_is(n, size, batches):
    assert last_batch(n, size) == batches
    data = (torch.zeros(n, 2), torch.arange(n))
    found = numbers(source(data, size, False, 0, CPU).epoch(1))
    assert len(found) == batches and [i for batch in found for i in batch] == list(range(n))[: batches * size]


def test_orders_depend_on_seed_and_epoch_alone():
    orders = {(s, e): tuple(permutation(s, e, 50).tolist()) for s in range(3) for e in range(1, 4)}
    assert len(set(orders.values())) == 9
    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert tuple(permutation(2, 3, 50).tolist()) == orders[2, 3] and torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    "make",
    [lambda: (torch.zeros(61, 2), torch.arange(61)), lambda: TensorDataset(torch.zeros(61, 2), torch.arange(61))],
)
@pytest.mark.parametrize("start", [0, 1, 5, 7, 8])
def test_an_epoch_can_be_taken_up_in_the_middle(make, start):
    batches = source(make(), 8, True, 3, CPU)
    whole = numbers(batches.epoch(2))
    assert numbers(batches.epoch(2, start)) == whole[start:] and batches.batches == len(whole) == 8


def test_memory_and_datasets_give_the_same_batches():
    x, y = table()
    a, b = (list(source(data, 8, True, 3, CPU).epoch(2)) for data in ((x, y), TensorDataset(x, y)))
    assert all(torch.equal(p[0], q[0]) and torch.equal(p[1], q[1]) for p, q in zip(a, b, strict=True))


def test_batches_are_fresh_memory_even_of_a_read_only_file(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(20.0).reshape(10, 2))
    x = np.load(tmp_path / "x.npy", mmap_mode="r")
    (batch,) = source((x, np.arange(10)), 10, False, 0, CPU).epoch(1)
    batch[0].zero_()
    assert x[1, 1] == 3.0


def test_any_nesting_is_gathered_alike():
    x, y = torch.arange(12.0).reshape(6, 2), torch.arange(6)
    batches = InMemory(({"a": x, "b": x[:, 0].numpy()}, y, None), 4, True, 0, CPU)
    for inputs, targets in batches.epoch(1):
        assert torch.equal(inputs["a"], x[targets]) and torch.equal(inputs["b"], x[targets, 0])
    assert mapped([x, ("text", x)], len) == [6, ("text", 6)]


def test_a_loaders_rest_of_an_epoch_is_what_was_left():
    loader = FromLoader(DataLoader(Rows(), batch_size=8), CPU)
    whole = numbers(loader.epoch(1))
    assert numbers(loader.epoch(1, 3)) == whole[3:] and loader.batches == 8


def test_a_loaders_own_generators_are_known():
    g = torch.Generator()
    assert FromLoader(DataLoader(Rows(), batch_size=8, shuffle=True, generator=g), CPU).generators == [g]
    sampler = torch.utils.data.RandomSampler(Rows(), generator=g)
    assert FromLoader(DataLoader(Rows(), batch_size=8, sampler=sampler), CPU).generators == [g]
    assert FromLoader(DataLoader(Rows(), batch_size=8, shuffle=True), CPU).generators == []


def test_endless_loaders_are_refused():
    class Endless(IterableDataset):
        def __iter__(self):
            while True:
                yield torch.zeros(2), 0

    with pytest.raises(InputError, match="the DataLoader has no length"):
        source(DataLoader(Endless(), batch_size=2), 2, False, 0, CPU)


def test_batches_grow_by_epoch_and_the_rate_falls_only_once_they_are_the_largest():
    sizes, rates = [], []

    def keep(event, state):
        if event == "step_end":
            sizes.append((state.epoch, state.batch_size))
            rates.append((state.epoch, state.lr))

    growth = batch_growth("linear", 4, 8, largest=24)
    made = program(
        mlp(),
        epochs=4,
        growth=growth,
        optimizer=lambda p: torch.optim.SGD(p, lr=0.1),
        scheduler=lambda optimizer: LambdaLR(optimizer, ByEpoch(growth, N)),
    )
    run = fit(made, callbacks=[keep])
    asked = [growth(epoch) for epoch in range(4)]
    assert asked[0] == 8 < asked[1] and asked[-1] == 24
    assert [size for _, size in dict.fromkeys(sizes)] == asked
    counts = [sum(epoch == e for epoch, _ in sizes) for e in range(1, 5)]
    assert counts == [last_batch(N, size) for size in asked] and run.history[-1]["step"] == sum(counts)
    for epoch in range(1, 5):
        used = [lr for e, lr in rates if e == epoch]
        assert used[0] / asked[epoch - 1] == pytest.approx(0.1 * growth._factor(epoch - 1) / 8, rel=1e-9)
