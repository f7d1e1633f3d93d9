"""Risk of least squares (G08, R05) and benign overfitting (G09): reference numbers and fits in NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import (
    benign_overfitting,
    best_overparameterization,
    least_squares_errors,
    min_norm_risk,
    unfinished_descent,
)


def excess(features, samples, signal, noise, draws, seed=0):
    """Excess risks of min-norm fits, one per draw."""
    generator, found = np.random.default_rng(seed), []
    for _ in range(draws):
        X, beta = generator.normal(size=(samples, features)), generator.normal(size=features)
        beta *= signal**0.5 / np.linalg.norm(beta)
        y = X @ beta + generator.normal(size=samples) * noise**0.5
        found.append(np.sum((np.linalg.lstsq(X, y, rcond=1e-13)[0] - beta) ** 2))
    return np.array(found)


def test_reference_numbers():
    found = min_norm_risk([50, 90, 110, 200, 1000], 100, signal=5.0)
    assert_allclose(found, [1.020, 10, 11.57, 3.510, 4.611], atol=6e-3)
    assert np.isinf(min_norm_risk([99, 100, 101], 100, signal=5.0)).all()
    assert best_overparameterization(5.0, 1.0) == pytest.approx(1.809, abs=5e-4)
    large = 10**6
    best = min_norm_risk(np.arange(1.2, 4, 0.001) * large, large, signal=5.0)
    assert best.min() == pytest.approx(3.472, abs=5e-4)
    assert 1.2 + 0.001 * best.argmin() == pytest.approx(1.809, abs=2e-3)
    assert least_squares_errors(20, 100) == pytest.approx((0.8, 1.2532), abs=5e-5)


@pytest.mark.parametrize(("features", "draws"), [(10, 400), (80, 100)])
def test_fits_follow_on_both_sides_of_the_peak(features, draws):
    risks = excess(features, 30, 5.0, 1.0, draws)
    expected = min_norm_risk(features, 30, signal=5.0)
    assert risks.mean() == pytest.approx(expected, abs=4 * risks.std() / draws**0.5)


def test_without_noise_there_is_no_peak():  # control
    risk = min_norm_risk(np.arange(1, 200), 100, signal=1.0, noise=0.0)
    assert (risk[:100] == 0).all() and (np.diff(risk[100:]) > 0).all()
    assert best_overparameterization(1.0, 0.0) == 1.0 and best_overparameterization(0.5, 1.0) == float("inf")


def test_training_and_test_error_of_fits():  # R05; control: no feature, no gap
    generator, errors = np.random.default_rng(0), []
    for _ in range(400):
        X, y = generator.normal(size=(40, 8)), generator.normal(size=40)
        w = np.linalg.lstsq(X, y, rcond=None)[0]
        errors.append((np.mean((y - X @ w) ** 2), 1 + w @ w))
    mean, error = np.mean(errors, 0), np.std(errors, 0) / 20
    assert (np.abs(mean - least_squares_errors(8, 40)) < 4 * error).all()
    assert least_squares_errors(0, 40, noise=2.0) == (2.0, 2.0)


def test_unfinished_descent_is_that_of_a_run():
    curvatures, start = np.array([0.1, 1.0, 1.9]), np.array([1.0, -2.0, 0.5])
    w, losses = start.copy(), []
    for _ in range(4):
        losses.append(0.5 * np.sum(curvatures * w**2))
        w = w - curvatures * w
    assert_allclose(unfinished_descent(curvatures, start, 1.0, np.arange(4)), losses)


def test_benign_spectrum_and_others():
    benign = benign_overfitting([1.0] * 5 + [0.002] * 4995, 100)
    assert benign.k == 5 and benign.r == pytest.approx(4995) and benign.variance == pytest.approx(0.070, abs=5e-4)
    quick = benign_overfitting(np.arange(1, 5001.0) ** -2, 100)  # control: no long tail
    assert quick.k == -1 or quick.variance > 0.5
    flat = benign_overfitting(np.ones(150), 100)  # control: isotropic, n/R = 2/3
    assert flat.k == 0 and flat.variance == pytest.approx(100 / 150)
    assert benign_overfitting(np.ones(50), 100).variance == float("inf")


def test_interpolation_of_noise_is_as_benign_as_predicted():
    spectrum = np.array([1.0] * 5 + [0.002] * 4995)
    generator, risks = np.random.default_rng(0), []
    for _ in range(6):
        X = generator.normal(size=(100, 5000)) * spectrum**0.5
        w = X.T @ np.linalg.solve(X @ X.T, generator.normal(size=100))
        risks.append(w**2 @ spectrum)
    assert np.mean(risks) == pytest.approx(benign_overfitting(spectrum, 100).variance, rel=0.25)


def test_what_cannot_be_is_named():
    with pytest.raises(ValueError, match="features < samples − 1"):
        least_squares_errors(9, 10)
    with pytest.raises(ValueError, match="1 or more"):
        min_norm_risk(0, 10)
    with pytest.raises(ValueError, match="positive"):
        benign_overfitting([1.0, 0.0], 3)
