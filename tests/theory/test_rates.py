"""Rates on quadratics and noise floors: reference numbers, the recursions' roots, and runs in NumPy."""

import math

import numpy as np
import pytest
from numpy.polynomial import Chebyshev

from trainwell.theory import (
    QUADRATIC_RATES,
    chebyshev_bound,
    least_squares_noise_floor,
    quadratic_factor,
    quadratic_rate,
    sgd_noise_floor,
)

STEPPING = ("gd", "gd_safe", "heavy_ball", "nesterov", "nesterov_tuned")


def test_reference_numbers_at_condition_100():
    found = [quadratic_rate(m, 100.0, 1.0).factor for m in ("gd", "heavy_ball", "nesterov", "nesterov_tuned")]
    assert found == pytest.approx([0.98020, 0.81818, 0.90, 0.88472], abs=5e-6)


@pytest.mark.parametrize("kappa", [1.5, 100.0, 1e4, 1e8])
@pytest.mark.parametrize("method", STEPPING)
def test_the_factor_is_the_largest_root_of_the_recursions(method, kappa):
    rate = quadratic_rate(method, kappa, 1.0)
    curvatures = np.logspace(0, math.log10(kappa), 400)
    root = quadratic_factor(curvatures, rate.lr, rate.momentum, nesterov="nesterov" in method)
    assert root == pytest.approx(rate.factor, abs=1e-7 if rate.growth else 1e-12)  # a double root: √ε


@pytest.mark.parametrize("method", ["gd", "heavy_ball", "nesterov_tuned"])
def test_no_other_parameters_on_a_grid_do_better(method):  # property: they are the best ones
    best = quadratic_rate(method, 50.0, 1.0)
    curvatures = np.linspace(1, 50, 60)
    for lr in best.lr * np.array([0.8, 0.95, 1.0, 1.05, 1.2]):
        for momentum in np.clip(best.momentum * np.array([0.9, 0.98, 1.0, 1.02]), 0, 0.999):
            found = quadratic_factor(curvatures, lr, momentum, nesterov=method == "nesterov_tuned")
            assert found >= best.factor - 1e-6


def test_heavy_ball_diverges_beyond_its_rate():  # 0 < η < 2 (1 + β)/L
    assert quadratic_factor([4.0], 0.99 * 2 * 1.5 / 4, 0.5) < 1 < quadratic_factor([4.0], 1.01 * 2 * 1.5 / 4, 0.5)


@pytest.mark.parametrize("method", QUADRATIC_RATES)
def test_condition_one_is_solved_at_once(method):  # control: nothing to accelerate
    assert quadratic_rate(method, 3.0, 3.0).factor == pytest.approx(0.0, abs=1e-12)


def test_momentum_zero_is_gradient_descent():  # control
    assert quadratic_factor([1.0, 9.0], 0.2, 0.0) == quadratic_factor([1.0, 9.0], 0.2, 0.0, nesterov=True) == 0.8


def test_chebyshev_bound_is_numpys_polynomial():
    for kappa in (1.5, 10.0, 1e3):
        for k in (1, 2, 5, 9):
            assert chebyshev_bound(kappa, k) == pytest.approx(1 / Chebyshev.basis(k)((kappa + 1) / (kappa - 1)), 1e-9)
            assert chebyshev_bound(kappa, k) <= 2 * quadratic_rate("cg", kappa, 1.0).factor ** k
    assert chebyshev_bound(1.0, 1) == 0.0


@pytest.mark.parametrize("method", ["gd", "heavy_ball", "nesterov", "nesterov_tuned"])
def test_steps_to_a_tolerance_are_those_of_a_run(method):
    rate = quadratic_rate(method, 400.0, 1.0)
    curvatures = np.array([1.0, 20.0, 400.0])
    x, before, k = np.ones(3), np.ones(3), 0
    while np.abs(x).max() > 1e-6:
        at = x + rate.momentum * (x - before) if "nesterov" in method else x
        push = 0.0 if "nesterov" in method else rate.momentum * (x - before)
        x, before, k = at - rate.lr * curvatures * at + push, x, k + 1
    assert rate.steps(1e-6) == pytest.approx(k, abs=2)


def test_noise_floor_of_sgd_on_a_parabola():
    generator = np.random.default_rng(0)
    lr, curvature, variance = 0.3, 2.0, 1.5
    w = np.zeros(20000)
    for _ in range(60):
        w = w - lr * (curvature * w + generator.normal(0, variance**0.5, w.shape))
    assert np.mean(w**2) == pytest.approx(sgd_noise_floor(lr, curvature, variance), rel=4 * (2 / 20000) ** 0.5)
    assert sgd_noise_floor(1.0, 2.0, 1.0) == math.inf


def test_noise_floor_of_least_squares():
    found = [least_squares_noise_floor(t, 10, 1, 1.0) for t in (0.01, 0.02, 0.04)]
    assert found == pytest.approx([0.0532, 0.1136, 0.2632], abs=5e-5)
    assert least_squares_noise_floor(0.2, 10, 1, 1.0) == math.inf
    assert least_squares_noise_floor(0.02, 10, 1, 0.0) == 0.0  # control: no noise, no floor


def test_impossible_curvatures_and_unknown_methods_are_named():
    with pytest.raises(ValueError, match="0 < μ ≤ L"):
        quadratic_rate("gd", 1.0, 2.0)
    with pytest.raises(ValueError, match="no method is called 'adam'"):
        quadratic_rate("adam", 1.0, 1.0)
    with pytest.raises(ValueError, match="between 0 and 1"):
        quadratic_rate("gd", 2.0, 1.0).steps(2.0)
