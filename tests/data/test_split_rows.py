"""Parts are disjoint, cover all rows, keep proportions, and depend on the seed alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainwell.data import SplitOptions, load, split_rows
from trainwell.errors import InputError


def parts_of(splits):
    return splits.train, splits.val, splits.test


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 60), min_size=2, max_size=8),
    val=st.sampled_from([None, 0.0, 0.15, 3]),
    test=st.sampled_from([None, 0.0, 0.25, 2]),
    seed=st.integers(0, 99),
    by=st.sampled_from(["stratified", "random", "group", "time"]),
)
def test_parts_are_disjoint_and_cover(sizes, val, test, seed, by):  # property
    codes = np.repeat(np.arange(len(sizes)), sizes)
    codes = np.random.default_rng(seed).permutation(codes)
    options = SplitOptions(val, test, seed, by)
    try:
        splits, _ = split_rows(len(codes), options, codes=codes, keys=codes)
    except InputError as error:
        assert "left to train on" in str(error) or "groups for" in str(error)
        return
    train, held_out, tested = parts_of(splits)
    assert np.array_equal(np.sort(np.concatenate([train, held_out, tested])), np.arange(len(codes)))
    assert train.dtype == held_out.dtype == tested.dtype == np.int64
    if by == "stratified":
        assert np.array_equal(np.unique(codes[train]), np.arange(len(sizes)))
    if by == "group":
        assert not set(codes[train]) & set(codes[tested]) and not set(codes[train]) & set(codes[held_out])
        assert not set(codes[held_out]) & set(codes[tested])
    if by == "time" and len(tested) and len(held_out):
        assert codes[train].max() <= codes[held_out].min() and codes[held_out].max() <= codes[tested].min()


def test_stratified_is_exact_where_it_can_be():  # closed form
    codes = np.repeat([0, 1, 2], [700, 200, 100])
    splits, notes = split_rows(1000, SplitOptions(0.1, 0.2), codes=codes)
    assert np.bincount(codes[splits.test]).tolist() == [140, 40, 20]
    assert np.bincount(codes[splits.val]).tolist() == [70, 20, 10] and notes == ()


def test_random_is_not_stratified():  # control
    codes = np.repeat([0, 1, 2], [700, 200, 100])
    splits, _ = split_rows(1000, SplitOptions(0.1, 0.2, by="random"), codes=codes)
    assert np.bincount(codes[splits.test]).tolist() != [140, 40, 20]


def test_seed_decides():
    one, again, other = (split_rows(100, SplitOptions(seed=seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(one.test, again.test) and not np.array_equal(one.test, other.test)


def test_rare_classes_stay_in_training_and_are_noted():
    codes = np.array([0] * 50 + [1] * 50 + [2, 2, 3])
    splits, notes = split_rows(103, SplitOptions(0.2, 0.2), codes=codes)
    assert {100, 101, 102} <= set(splits.train.tolist()) and "2 classes have fewer than 3 rows" in notes[0]


def test_default_sizes():
    assert [len(part) for part in parts_of(split_rows(1000)[0])] == [700, 100, 200]
    assert [len(part) for part in parts_of(split_rows(150)[0])] == [90, 30, 30]
    assert [len(part) for part in parts_of(split_rows(50)[0])] == [30, 10, 10]


def test_a_source_s_own_test_part_stays():
    splits, _ = split_rows(
        110_000, codes=np.arange(110_000) % 10, parts={"train": (0, 100_000), "test": (100_000, 110_000)}
    )
    assert np.array_equal(splits.test, np.arange(100_000, 110_000)) and len(splits.val) == 5000
    splits, _ = split_rows(100, parts={"train": (0, 60), "val": (60, 80), "test": (80, 100)})
    assert [len(part) for part in parts_of(splits)] == [60, 20, 20]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SplitOptions(by="luck"), "by 'luck'"),
        (SplitOptions(by="group"), "needs a column"),
        (SplitOptions(val=-0.1), "val part is -0.1"),
        (SplitOptions(val=0.6, test=0.5), "none are left"),
    ],
)
def test_impossible_splits_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        split_rows(100, options)


def test_group_and_time_columns_of_a_table(tmp_path):
    lines = ["x,person,day,y"] + [f"{i * 7 % 11},p{i % 12},2024-01-{1 + i % 30:02d},{i // 3 % 2}" for i in range(120)]
    path = tmp_path / "t.csv"
    path.write_text("\n".join(lines))
    grouped = load(path, target="y", split=SplitOptions(by="group", column="person"))
    person = np.arange(120) % 12
    assert not set(person[grouped.splits.train]) & set(person[grouped.splits.test])
    assert len(grouped.splits.test) > 0 and len(grouped.splits.val) > 0
    timed = load(path, target="y", split=SplitOptions(by="time", column="day"))
    day = np.arange(120) % 30
    assert day[timed.splits.train].max() <= day[timed.splits.val].min() <= day[timed.splits.test].min()
    with pytest.raises(InputError, match="neither dates nor numbers"):
        load(path, target="y", split=SplitOptions(by="time", column="person"))
