"""Fixed points, depth scales and the edge of chaos: against THEORY.md's numbers, iteration and wide random nets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import (
    NONLINEARITIES,
    correlation_map,
    critical,
    depth_scale,
    edge_of_chaos,
    fixed_correlation,
    fixed_variance,
    gradient_factor,
    mean_field_at,
    nonlinearity,
    variance_map,
)

SB = 0.05**0.5
EDGED = tuple(name for name in NONLINEARITIES if name != "softplus")


@pytest.mark.parametrize(
    ("square", "q", "chi", "c", "xi"),
    [
        (1, 0.1936, 0.759, 1, 3.63),
        (1.5, 0.41804, 0.93864, 1, 15.79),
        (2, 0.72176, 1.04767, 0.744, 25.2),
        (3, 1.428, 1.20893, 0.29932, 9.05),
    ],
)
def test_tanh_at_the_papers_bias(square, q, chi, c, xi):  # THEORY S21
    at = mean_field_at("tanh", square**0.5, SB)
    assert_allclose([at.q, at.chi, at.c, at.xi_c], [q, chi, c, xi], rtol=1e-3)
    assert at.phase == ("ordered" if chi < 1 else "chaotic")


def test_reference_points():
    assert_allclose(float(edge_of_chaos("tanh", SB)) ** 2, 1.76095, rtol=3e-6)  # S21
    assert_allclose(critical("hard_tanh", 0.1), (1.00078, 0.01161), atol=5e-6)  # S12
    assert_allclose(critical("relu"), (2**0.5, 0), atol=1e-15)
    assert_allclose(critical("leaky_relu", 7.0), ((2 / 1.0001) ** 0.5, 0), rtol=1e-15)
    assert_allclose(critical("maxout"), (1, 0))
    for scale, q, chi in ((1.0, 0.2647, 0.0557), (2.0, 1.197, 0.1716)):  # S09, sigmoid
        at = mean_field_at("sigmoid", scale, 0.0)
        assert_allclose([at.q, at.chi], [q, chi], rtol=1e-3)
    assert_allclose(
        variance_map("tanh", [1.0, 0.3943, 0.2365], 1.0, 0.0) ** 0.5, [0.628, 0.486, 0.408], atol=6e-4
    )  # S03


@pytest.mark.parametrize("name", EDGED)
def test_critical_point_is_a_fixed_point_with_chi_one(name):
    point = critical(name)
    at = mean_field_at(name, *point, start=1.0)
    q = next(2.0**k for k in range(9) if abs(variance_map(name, 2.0**k, *point) - 2.0**k) < 1e-11)
    assert_allclose(gradient_factor(name, q, point.sigma_w), 1, rtol=1e-12)
    assert point.sigma_w**2 * nonlinearity(name).growth(q) <= 1 + 1e-9  # the variance returns to it
    assert at.q > 0


def test_critical_says_where_there_is_none():
    with pytest.raises(ValueError, match="softplus has no edge of chaos at any q"):
        critical("softplus")
    with pytest.raises(ValueError, match=r"sigmoid has no edge of chaos at q=1: σ_b² = q − E φ²/E φ'² is -5\.5"):
        critical("sigmoid", 1.0)
    with pytest.raises(ValueError, match="q=0 must be finite and above 0"):
        critical("tanh", 0)
    assert critical("sigmoid", 46).sigma_b < 0.5  # and from 45.6 on there is one


def test_gelus_edge_at_one_is_unstable_and_the_default_avoids_it():
    sigma_w, sigma_b = critical("gelu", 1.0)
    assert variance_map("gelu", 1.1, sigma_w, sigma_b) > 1.1 and variance_map("gelu", 0.9, sigma_w, sigma_b) < 0.9
    assert critical("gelu") != critical("gelu", 1.0)
    assert_allclose(critical("tanh"), critical("tanh", 1.0), rtol=1e-14)  # control


@pytest.mark.parametrize(
    ("name", "w", "b"), [("tanh", 1.8, 0.3), ("elu", 1.0, 0.5), ("hard_tanh", 2.0, 0.1), ("silu", 1.2, 0.2)]
)
def test_fixed_points_are_where_iteration_ends(name, w, b):
    q = 1.0
    for _ in range(400):
        q = float(variance_map(name, q, w, b))
    assert_allclose(fixed_variance(name, w, b), q, rtol=1e-10)
    c = 0.2
    for _ in range(300):
        c = float(correlation_map(name, c, q, w, b))
    assert_allclose(fixed_correlation(name, q, w, b), min(c, 1.0), atol=1e-7)


def test_depth_scale_is_the_rate_of_the_iteration():
    at = mean_field_at("tanh", 2**0.5, SB)
    c = [at.c - 1e-3]
    for _ in range(60):
        c.append(float(correlation_map("tanh", c[-1], at.q, 2**0.5, SB)))
    rate = np.log((at.c - c[-1]) / (at.c - c[-11])) / 10
    assert_allclose(-1 / rate, at.xi_c, rtol=1e-3)
    q = [at.q * 1.001]
    for _ in range(8):
        q.append(float(variance_map("tanh", q[-1], 2**0.5, SB)))
    assert_allclose(-1 / np.log((q[-1] - at.q) / (q[-2] - at.q)), at.xi_q, rtol=1e-3)
    assert_allclose([depth_scale(np.exp(-0.5)), depth_scale(1.0), depth_scale(0.0)], [2, np.inf, 0])


def test_dead_and_exploding_signals():
    dead, wild = mean_field_at("tanh", 0.9, 0.0), mean_field_at("relu", 1.5, 0.1)
    assert dead.q == 0 and dead.phase == "ordered" and np.isnan(dead.c) and np.isnan(dead.xi_c)
    assert_allclose(dead.xi_q, -1 / np.log(0.81), rtol=1e-6)
    assert wild.q == np.inf and wild.phase == "chaotic"
    still = mean_field_at("relu", 2**0.5, 0.0, start=3.0)
    assert still.q == 3.0 and still.phase == "critical" and still.c == 1.0 and still.xi_c == np.inf
    with pytest.raises(ValueError, match="σ_w=-1 and σ_b=0 must be finite and not negative"):
        mean_field_at("tanh", -1, 0)


def test_border_of_the_phases():
    sigma_b = np.array([0.0, 0.1, 0.5])
    border = edge_of_chaos("tanh", sigma_b)
    assert_allclose(border[0], 1)
    for w, b in zip(border[1:], sigma_b[1:], strict=True):
        assert mean_field_at("tanh", w * 0.98, b).phase == "ordered"
        assert mean_field_at("tanh", w * 1.02, b).phase == "chaotic"
    relu = edge_of_chaos("relu", sigma_b)
    assert_allclose(relu[0], 2**0.5)
    assert np.isnan(relu[1:]).all()  # one point and no line


@pytest.mark.parametrize("name", ["tanh", "gelu", "selu", "shifted_relu"])
def test_wide_random_net_does_as_predicted(name):
    draws, width, (w, b) = np.random.default_rng(0), 700, (1.3, 0.2)
    f = nonlinearity(name)
    first = draws.standard_normal((width, 40))
    second = 0.6 * first + 0.8 * draws.standard_normal((width, 40))
    q, c, pair = 1.0, 0.6, np.stack([first, second])
    for _ in range(4):
        weight, bias = w / width**0.5 * draws.standard_normal((width, width)), b * draws.standard_normal((width, 1))
        pair = weight @ f.value(pair) + bias
        c, q = float(correlation_map(f, c, q, w, b)), float(variance_map(f, q, w, b))
    measured = (pair**2).mean()
    assert_allclose(measured, q, rtol=0.15)
    assert_allclose((pair[0] * pair[1]).mean() / measured, c, atol=0.03)
