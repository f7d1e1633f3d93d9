"""Condition numbers by preparation (N01, N02) and iterative normalization (N17)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import correlated_condition, newton_schulz_eigenvalues, uncentred_condition, whitening_matrix


def test_reference_numbers():
    assert correlated_condition(0.5, (1, 100)) == pytest.approx(13334, abs=0.5)
    assert [correlated_condition(rho) for rho in (0.5, 0.9, 0.99)] == pytest.approx([3, 19, 199])
    assert [uncentred_condition(m) for m in (3, 10)] == pytest.approx([119, 10402], abs=0.5)
    assert uncentred_condition(0) == correlated_condition(0.0) == 1  # control: nothing to cure


@pytest.mark.parametrize(("rho", "scales"), [(0.3, (1.0, 5.0)), (-0.9, (2.0, 0.1)), (0.0, (3.0, 1.0))])
def test_they_are_those_of_the_matrix(rho, scales):
    a, b = scales
    assert correlated_condition(rho, scales) == pytest.approx(
        np.linalg.cond([[a * a, rho * a * b], [rho * a * b, b * b]])
    )
    assert uncentred_condition(a) == pytest.approx(np.linalg.cond([[1, a], [a, 1 + a * a]]))


def test_drawn_features_follow():
    z = np.random.default_rng(0).normal(size=(200_000, 2))
    x = np.stack([z[:, 0], 10 * (0.6 * z[:, 0] + 0.8 * z[:, 1])], 1)
    assert np.linalg.cond(x.T @ x) == pytest.approx(correlated_condition(0.6, (1, 10)), rel=0.02)
    with_bias = np.stack([np.ones(200_000), z[:, 0] + 3], 1)
    assert np.linalg.cond(with_bias.T @ with_bias) == pytest.approx(uncentred_condition(3), rel=0.02)


def test_standardizing_can_hurt():  # the lecture's "will reduce κ" has this counterexample
    H = np.array([[3.0, -8, -7], [-8, 32, 28], [-7, 28, 25]])
    scale = np.sqrt(np.diag(H))
    assert np.linalg.cond(H) == pytest.approx(210.5, abs=0.1)
    assert np.linalg.cond(H / np.outer(scale, scale)) == pytest.approx(276.1, abs=0.1)


@pytest.mark.parametrize("zca", [True, False])
def test_whitening_gives_the_identity_on_what_the_data_span(zca):
    root = np.random.default_rng(0).normal(size=(5, 5))
    covariance = root @ root.T
    W = whitening_matrix(covariance, zca=zca)
    assert_allclose(W @ covariance @ W.T, np.eye(5), atol=1e-9)
    assert (np.abs(W - W.T).max() < 1e-9) == zca
    flat = root[:, :3] @ root[:, :3].T  # rank 3: no division by nearly 0
    W = whitening_matrix(flat, zca=zca)
    assert_allclose(np.sort(np.linalg.eigvalsh(W @ flat @ W.T))[-3:], 1, atol=1e-9)
    assert np.abs(W).max() < 1e3


def test_newton_schulz_reference_numbers():
    def worst(spectrum, steps):
        return np.abs(newton_schulz_eigenvalues(spectrum, steps) - 1).max()

    assert worst(np.ones(64), 5) == pytest.approx(0.41, abs=5e-3)
    assert worst(np.ones(64), 8) == pytest.approx(2.1e-4, abs=1e-5)
    assert worst(np.geomspace(1, 0.01, 8), 10) < 1e-4 < worst(np.geomspace(1, 0.01, 8), 5)
    assert worst(np.ones(1), 0) == 0  # control: one feature is there at once


def test_newton_schulz_is_that_of_matrices():
    root = np.random.default_rng(0).normal(size=(6, 12))
    covariance = root @ root.T
    scaled, p = covariance / np.trace(covariance), np.eye(6)
    for _ in range(4):
        p = 0.5 * (3 * p - p @ p @ p @ scaled)
    found = np.linalg.eigvalsh(p @ scaled @ p)
    assert_allclose(found, np.sort(newton_schulz_eigenvalues(np.linalg.eigvalsh(covariance), 4)), atol=1e-12)


def test_a_correlation_of_one_is_refused():
    with pytest.raises(ValueError, match="must lie in"):
        correlated_condition(1.0)
