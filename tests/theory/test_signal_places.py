"""Moments over places: softmax weights, means, maxima, joins and recurrent layers against closed forms and draws."""

import numpy as np
import pytest

from trainwell.theory import nonlinearity
from trainwell.theory.gradient_ways import Pull, averaged
from trainwell.theory.initial_spread import Spread
from trainwell.theory.node_joins import added, multiplied
from trainwell.theory.node_places import averaged_places, largest_of_places, with_zeros
from trainwell.theory.recurrent_cells import cell_of
from trainwell.theory.recurrent_moments import through_recurrence
from trainwell.theory.signal_nodes import through_activation
from trainwell.theory.softmax_averages import concentration
from trainwell.theory.unit_nodes import source


def white(number, moment=1.0, places=1, along=0.0, covariance=0.0):
    return source(number, (moment, along, covariance, 0.0), places, units=64, shape=(64,))


@pytest.mark.parametrize(("tokens", "spread"), [(4, 0.5), (16, 1.0), (64, 2.0)])
def test_softmax_weights_concentrate_as_drawn(tokens, spread):
    logits = np.random.default_rng(0).normal(size=(20_000, tokens)) * spread**0.5
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    drawn = (weights**2).sum(1)
    assert concentration(tokens, spread) == pytest.approx(drawn.mean(), abs=4 * drawn.std() / 20_000**0.5)
    assert concentration(tokens, 0.0) == pytest.approx(1 / tokens)  # control: even weights


def test_a_mean_keeps_what_places_share():
    node = averaged_places(white(0, 1.0, places=16, along=0.25), 1, 16, (64,))
    assert node.moment == pytest.approx((1 + 15 * 0.25) / 16)
    assert averaged(16)(Pull(1.0, 1.0)) == Pull(1 / 16, 1.0, 0.0)


def test_the_largest_of_two_normal_numbers():
    node = largest_of_places(white(0, 1.0, places=8), 1, 2, (64,))
    assert node.moment == pytest.approx(1.0, rel=0.01) and node.mean == pytest.approx(np.pi**-0.5, rel=0.01)
    assert node.parents[0][1](Pull(1.0, 1.0)).total == pytest.approx(1.0)


def test_sums_of_one_source_add_up_and_of_two_do_not():
    x, y = white(0), white(1)
    twice, both = added(x, x, 2, 1.0, (64,)), added(x, y, 2, 1.0, (64,))
    assert (twice.moment, twice.links[0].slope) == pytest.approx((4.0, 4.0), rel=1e-6)
    assert both.moment == pytest.approx(2.0) and [link.slope for link in both.links] == [1.0, 1.0]


def test_a_gate_multiplies_moments_and_swish_is_known():
    x = white(0)
    gate = through_activation(x, 1, nonlinearity("sigmoid"), 64, (64,))
    other = multiplied(gate, white(5, 2.0), 6, (64,))
    assert other.moment == pytest.approx(2 * float(nonlinearity("sigmoid").second_moment(1.0)))
    swish, silu = multiplied(x, gate, 7, (64,)), nonlinearity("silu")
    assert swish.moment == pytest.approx(float(silu.second_moment(1.0)), rel=0.01)
    assert swish.links[0].slope == pytest.approx(float(silu.slope_moment(1.0)), rel=0.01)


def test_zeros_beside_dilute_and_a_second_relu_changes_nothing():
    x = through_activation(white(0), 1, nonlinearity("relu"), 64, (64,))
    wide = with_zeros(x, 2, 128, 1, (128,))
    again = through_activation(wide, 3, nonlinearity("relu"), 128, (128,))
    assert (x.moment, wide.moment) == pytest.approx((0.5, 0.25))
    assert again.moment == pytest.approx(0.25, rel=0.02) and again.links[0].slope == pytest.approx(0.25, rel=0.03)


def test_a_linear_recurrence_is_a_sum_over_times():  # E h_t² = σ_w² Σ_s σ_u^{2s}
    cell = cell_of([(Spread(1.0), Spread(0.5))], nonlinearity("identity"))
    node = through_recurrence(white(0, places=6), 1, cell, 64, (6, 64))
    expected = np.cumsum(0.25 ** np.arange(6))
    np.testing.assert_allclose(np.diag(node.history)[:6], expected, rtol=0.05)
    (_, way) = node.parents[0]
    assert way(Pull(0.0, 0.0, 1.0)).total == pytest.approx(expected[-1], rel=0.05)
    assert cell_of([(Spread(1.0), Spread(1.0))] * 2, None) is None
