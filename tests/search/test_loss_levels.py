"""Levels of loss curves, and when a curve comes down to them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainwell.search.levels import SHARES, common_levels, first_reach


def test_levels_are_shares_of_the_way():  # closed form
    assert common_levels([[4.0, 3.0], [4.0, 2.0]], (0.25, 0.5)) == (3.5, 3.0)


def test_levels_of_a_loss_that_falls_far_are_shares_of_its_logarithm():
    assert common_levels([[1.0, 1e-4]], (0.25, 0.5)) == pytest.approx((1e-1, 1e-2), rel=1e-12)


def test_no_levels_where_nothing_falls():
    assert common_levels([[1.0, 2.0], [1.0, math.nan]]) == ()
    assert common_levels([]) == ()


def test_an_exponential_curve_reaches_its_levels_when_the_formula_says():  # closed form: t = −ln L
    at = [i / 10 for i in range(100)]
    values = [math.exp(-t) for t in at]
    for level in common_levels([values]):
        assert first_reach(at, values, level, logarithmic=True) == pytest.approx(-math.log(level), rel=1e-9)
        assert first_reach(at, values, level) != pytest.approx(-math.log(level), rel=1e-9)  # control: linear is not it


def test_a_level_that_is_not_reached():
    assert first_reach([0, 1, 2], [3.0, 2.0, math.nan], 1.0) is None


def test_the_first_crossing_counts_not_a_later_one():
    assert first_reach([0, 1, 2, 3], [4.0, 2.0, 4.0, 1.0], 3.0) == 0.5


@given(st.lists(st.floats(0.01, 100), min_size=2, max_size=30))
def test_lower_levels_are_reached_later(values):  # property
    levels = common_levels([values])
    reached = [first_reach(range(len(values)), values, level) for level in levels]
    found = [place for place in reached if place is not None]
    assert found == sorted(found) and list(levels) == sorted(levels, reverse=True)
    assert len(found) == len(levels) in (0, len(SHARES))  # the lowest curve reaches them all
