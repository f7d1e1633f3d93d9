"""The suggestion on synthetic curves whose usable range is known."""

import numpy as np
import pytest

from trainwell.optim import suggest_rate
from trainwell.optim.range_test import MARGIN, TOWARDS_FALL, smoothed

BETWEEN = 1e-3**TOWARDS_FALL * 0.1 ** (1 - TOWARDS_FALL) / MARGIN  # of curves that fall at 1e-3 and turn at 0.1


def curve(rates, fall, turn, noise=0.0, seed=0):
    """A loss that falls from 2 to 1 around ``fall`` and climbs quadratically beyond ``turn``."""
    losses = 2 - 1 / (1 + (fall / rates) ** 2) + np.maximum(0, rates / turn - 1) ** 2
    return losses + noise * np.random.default_rng(seed).standard_normal(len(rates))


def test_smoothing_of_a_constant_is_the_constant_and_of_any_curve_the_slow_formula():
    assert smoothed([3.0] * 20) == pytest.approx([3.0] * 20, rel=1e-12)
    losses = np.random.default_rng(0).random(30)
    for i in (0, 1, 29):
        weights = 0.9 ** np.arange(i, -1, -1)
        assert smoothed(losses.tolist())[i] == pytest.approx(np.average(losses[: i + 1], weights=weights), rel=1e-12)


def test_the_suggestion_is_a_margin_below_the_geometric_middle_of_the_usable_range():
    rates = np.geomspace(1e-6, 10, 2000)  # so dense that smoothing shifts nothing
    assert suggest_rate(rates, curve(rates, 1e-3, 0.1)) == pytest.approx(BETWEEN, rel=0.35)


@pytest.mark.parametrize("low", [1e-7, 1e-6, 1e-5])
@pytest.mark.parametrize("high", [1.0, 10.0])
@pytest.mark.parametrize("seed", range(4))
def test_suggestion_hardly_depends_on_the_ends_of_the_range_and_the_noise(low, high, seed):
    rates = np.geomspace(low, high, 100)
    assert 1 / 3 < suggest_rate(rates, curve(rates, 1e-3, 0.1, noise=0.02, seed=seed)) / BETWEEN < 3


def test_steepest_point_of_the_raw_curve_scatters_over_decades():  # control: the rule that others use
    rates = np.geomspace(1e-6, 1.0, 100)
    found = [rates[np.argmin(np.diff(curve(rates, 1e-3, 0.1, noise=0.1, seed=s)))] for s in range(8)]
    assert max(found) / min(found) > 30
    ours = [suggest_rate(rates, curve(rates, 1e-3, 0.1, noise=0.1, seed=s)) for s in range(8)]
    assert max(ours) / min(ours) < 9


def test_where_the_loss_never_turns_the_range_ends_the_choice():
    rates = np.geomspace(1e-6, 1e-2, 1000)
    found = suggest_rate(rates, curve(rates, 1e-4, np.inf))
    assert found == pytest.approx(1e-4**TOWARDS_FALL * 1e-2 ** (1 - TOWARDS_FALL) / MARGIN, rel=0.35)


def test_losses_after_the_first_non_finite_one_do_not_count():
    rates = np.geomspace(1e-6, 10, 200)
    losses = curve(rates, 1e-3, 0.1)
    cut = int(np.searchsorted(rates, 0.3))
    broken = [*losses[:cut], float("nan"), *np.zeros(200 - cut - 1)]  # the zeros would be the minimum
    assert suggest_rate(rates, broken) == suggest_rate(rates[:cut], losses[:cut])


def test_too_few_finite_losses_and_a_loss_that_never_falls_are_refused():
    with pytest.raises(ValueError, match="only 3 losses are finite"):
        suggest_rate([1e-5, 1e-4, 1e-3, 1e-2, 1e-1], [1.0, 1.0, 1.0, float("inf"), 1.0])
    with pytest.raises(ValueError, match="never falls"):
        suggest_rate(np.geomspace(1e-5, 1, 50), np.linspace(1, 2, 50))
