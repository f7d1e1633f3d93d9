import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data.augment import TableAugment, swap_noise


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(count: int = 300) -> dict[str, torch.Tensor]:
    numbers = torch.arange(count * 3.0).view(count, 3)  # every cell its own value
    numbers[::5, 1] = float("nan")
    return {"numbers": numbers, "categories": torch.randint(-1, 4, (count, 2), generator=generator(1))}


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1000), st.floats(0, 1), st.integers(1, 40))
def test_swapped_cells_come_from_the_same_column_of_another_row(seed, probability, count):
    x = torch.arange(count * 4).view(count, 4)
    swapped = swap_noise(x, probability, generator(seed))
    assert torch.equal(swapped % 4, x % 4)  # the column of each cell
    if probability == 1 and count > 1:
        assert (swapped != x).all()  # never its own row


@pytest.mark.parametrize("probability", [0.0, 0.15, 1.0])
def test_the_share_of_swapped_cells(probability):
    x = torch.arange(60000).view(20000, 3)
    share = (swap_noise(x, probability, generator()) != x).double().mean().item()
    assert abs(share - probability) <= 4 * (probability * (1 - probability) / 60000) ** 0.5


def test_swap_noise_keeps_marginals_and_breaks_dependence():
    first = torch.randn(20000, generator=generator()).double()
    x = torch.stack([first, 2 * first], 1)
    swapped = swap_noise(x, 0.5, generator(2))
    assert abs(swapped[:, 0].mean() - first.mean()) < 4 / 20000**0.5 and abs(swapped[:, 0].std() - 1) < 0.03
    correlation = torch.corrcoef(swapped.T)[0, 1]
    assert abs(correlation - 0.25) < 0.03  # both cells are their own with probability ½ · ½
    assert torch.corrcoef(x.T)[0, 1] > 0.999  # control


def test_tables_pairs_and_arrays():
    table = rows()
    before = {name: values.clone() for name, values in table.items()}
    augment = TableAugment(swap=0.2, noise=0.1)
    made = augment(table, generator(1))
    for name in table:
        assert torch.equal(table[name].nan_to_num(-1), before[name].nan_to_num(-1))
        assert made[name].dtype == table[name].dtype and not torch.equal(made[name], table[name])
    assert made["categories"].unique().tolist() == [-1, 0, 1, 2, 3]
    numbers, codes = augment((table["numbers"], table["categories"]), generator(1))
    assert torch.equal(numbers.nan_to_num(-1), made["numbers"].nan_to_num(-1)) and torch.equal(
        codes, made["categories"]
    )
    array = torch.randn(50, 4, generator=generator())
    assert augment(array, generator(1)).shape == array.shape
    assert torch.equal(TableAugment()(array, generator()), array)
    assert torch.equal(TableAugment(noise=0.5, std=(0.0, 0.0, 0.0, 0.0))(array, generator()), array)


def test_a_batch_of_one_row_and_a_table_without_numbers():
    one = {"numbers": torch.ones(1, 2), "categories": torch.zeros(1, 1, dtype=torch.int64)}
    assert torch.equal(TableAugment(swap=1.0)(one, generator())["numbers"], one["numbers"])
    empty = {"numbers": torch.zeros(5, 0), "categories": torch.arange(5).unsqueeze(1)}
    made = TableAugment(swap=1.0, noise=0.1)(empty, generator())
    assert made["numbers"].shape == (5, 0) and (made["categories"] != empty["categories"]).all()


def test_rows_on_another_device_than_the_generator():
    table = {name: values.to("meta") for name, values in rows().items()}
    assert TableAugment(swap=0.1, noise=0.1, std=(1.0, 1.0, 1.0))(table, generator())["numbers"].device.type == "meta"
