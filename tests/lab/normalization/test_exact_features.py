"""Features of exact moments, and the steps of descent on least squares."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.lab.normalization.exact_features import (
    condition,
    descent_steps,
    exact_features,
    hessian,
    predicted_steps,
)
from trainwell.theory.conditioning import correlated_condition, uncentred_condition


def features(mean, covariance):
    return exact_features(50, np.array(mean), np.array(covariance), np.random.default_rng(0))


def test_the_sample_has_the_given_moments():
    X = features([3.0, -1.0], [[4.0, 1.0], [1.0, 9.0]])
    assert_allclose(X.mean(0), [3, -1], atol=1e-12)
    assert_allclose(np.cov(X.T, ddof=0), [[4, 1], [1, 9]], atol=1e-12)


def test_condition_is_that_of_the_closed_forms():
    scaled = features([0.0, 0.0], [[1.0, 5.0], [5.0, 100.0]])
    assert condition(scaled) == pytest.approx(correlated_condition(0.5, (1, 10)), rel=1e-10)
    assert condition(features([10.0], [[1.0]])) == pytest.approx(uncentred_condition(10), rel=1e-9)


@pytest.mark.parametrize(("rho", "steps"), [(0.0, 1), (0.5, 20), (0.9, 132)])
def test_descent_takes_as_many_steps_as_predicted(rho, steps):
    X = features([0.0, 0.0], [[1.0, rho], [rho, 1.0]])
    assert predicted_steps((1 + rho) / (1 - rho)) == steps
    assert abs(descent_steps(X) - steps) <= 1


def test_a_flat_direction_is_not_reached():  # control: without it the count would not depend on κ
    assert descent_steps(features([0.0, 0.0], [[1.0, 0.0], [0.0, 1e4]]), most=1000) == 1000


def test_hessian_holds_the_bias_last():
    X = features([2.0], [[1.0]])
    assert_allclose(hessian(X), [[5, 2], [2, 1]], atol=1e-12)
