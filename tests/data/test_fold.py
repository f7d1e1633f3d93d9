"""Folds share out all rows, evenly by class, without cutting a group."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from trainwell.data import SplitOptions, split_rows
from trainwell.data.fold import fold_of_rows, parse_fold
from trainwell.errors import InputError


def test_every_row_is_tested_once_and_never_trained_on_in_its_fold():
    codes = np.random.default_rng(0).integers(0, 3, 101)
    tested = []
    for number in range(1, 6):
        splits, _ = split_rows(101, SplitOptions(fold=f"{number}/5", seed=3), codes=codes)
        parts = np.concatenate([splits.train, splits.val, splits.test])
        assert sorted(parts) == list(range(101))
        assert len(splits.val) > 0
        tested.append(splits.test)
    assert sorted(np.concatenate(tested)) == list(range(101))


def test_classes_are_as_even_as_scikit_learn_makes_them():
    codes = np.repeat([0, 1, 2], [50, 33, 7])
    fold = fold_of_rows(90, 5, 0, codes=codes)
    reference = [np.bincount(codes[test], minlength=3) for _, test in StratifiedKFold(5).split(codes, codes)]
    ours = [np.bincount(codes[fold == k], minlength=3) for k in range(5)]
    assert np.ptp(ours, axis=0).max() <= max(1, np.ptp(reference, axis=0).max())


def test_without_classes_the_rare_one_is_uneven():  # control
    codes = np.repeat([0, 1], [95, 5])
    spreads = [np.ptp([(codes[fold_of_rows(100, 5, s) == k] == 1).sum() for k in range(5)]) for s in range(20)]
    assert max(spreads) > 1


def test_groups_stay_whole():
    keys = np.random.default_rng(1).integers(0, 12, 200)
    fold = fold_of_rows(200, 4, 0, keys=keys)
    assert all(len(set(fold[keys == g])) == 1 for g in range(12))
    assert np.ptp(np.bincount(fold)) < 40


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "2", "a/b", ""])
def test_wrong_fold_is_refused(text):
    with pytest.raises(InputError, match="fold"):
        parse_fold(text)


def test_more_folds_than_rows_are_refused():
    with pytest.raises(InputError, match="at least 5 rows"):
        fold_of_rows(3, 5, 0)
