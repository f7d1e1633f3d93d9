"""A column leaks if it and the target determine each other, not if it merely predicts well."""

import numpy as np
import pytest

from trainwell.data.leaks import is_function_of, spells_out

rng = np.random.default_rng(0)


def test_bijection_with_the_classes_leaks_with_and_without_gaps():
    y = rng.integers(0, 3, 200)
    renamed = np.array([2, 0, 1])[y]
    assert spells_out(renamed, y) and spells_out(renamed * 1.5, y)
    renamed[::7] = -1
    assert spells_out(renamed, y)


@pytest.mark.parametrize("flips", [1, 5])
def test_one_exception_is_no_leak(flips):  # control
    y = rng.integers(0, 2, 200)
    copied = y.copy()
    copied[:flips] = 1 - copied[:flips]
    assert not spells_out(copied, y)


def test_finer_values_that_determine_the_class_are_no_leak():
    y = rng.integers(0, 2, 200)
    assert not spells_out(y * 10 + rng.integers(0, 3, 200), y)


def test_few_rows_agree_by_chance():
    y = np.array([0, 1, 0, 1])
    assert not spells_out(y, y)


@pytest.mark.parametrize("make", [lambda y: 3 * y - 7, lambda y: -y / 9, np.exp, lambda y: np.round(0.92 * y, 6)])
def test_monotone_and_affine_functions_leak(make):
    y = rng.normal(size=300)
    assert is_function_of(make(y), y)


def test_correlation_of_0_9999_is_no_leak():  # control
    y = rng.normal(size=300)
    assert not is_function_of(y + 0.01 * rng.normal(size=300), y)


def test_squares_of_both_signs_are_no_leak():
    y = rng.normal(size=300)
    assert not is_function_of(y**2, y)
