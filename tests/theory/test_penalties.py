"""Dropout, noise and early stopping as ridge (G01–G04): exact enumeration, Monte Carlo, and the filters' distance."""

from itertools import product

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import (
    descent_filter,
    dropout_penalty,
    noise_penalty,
    ridge_filter,
    ridge_solution,
    stopping_penalty,
)


@pytest.fixture
def data():
    generator = np.random.default_rng(0)
    X = generator.normal(size=(30, 4)) @ generator.normal(size=(4, 4))
    return X, X @ [1.0, -2.0, 0.5, 3.0] + generator.normal(size=30)


def test_ridge_solves_its_normal_equations(data):
    X, y = data
    assert_allclose(ridge_solution(X, y, 2.0), np.linalg.solve(X.T @ X + 2 * np.eye(4), X.T @ y), rtol=1e-10)
    basis = np.linalg.qr(X)[0]
    assert_allclose(ridge_solution(basis, y, 0.5), basis.T @ y / 1.5, rtol=1e-12)  # G01: b/(1 + λ)
    with pytest.raises(ValueError, match="0 or above"):
        ridge_solution(X, y, -1.0)


def test_dropout_of_inputs_is_ridge_by_enumeration(data):
    X, y = data[0][:, :2], data[1]
    drop, w = 0.3, np.array([0.7, -1.1])
    total = 0.0
    for mask in product((0, 1), repeat=2):  # rows are independent: enumerate one row's masks for all rows
        chance = drop ** (2 - sum(mask)) * (1 - drop) ** sum(mask)
        total += chance * np.sum((y - (X * mask / (1 - drop)) @ w) ** 2)
    assert total == pytest.approx(np.sum((y - X @ w) ** 2) + dropout_penalty(X, drop) @ w**2, rel=1e-12)
    unscaled = np.sum((y - (1 - drop) * X @ w) ** 2)
    assert abs(unscaled - np.sum((y - X @ w) ** 2)) > 1  # control: without scaling the mean moves
    assert (dropout_penalty(X, 0.0) == 0).all()
    with pytest.raises(ValueError, match="must lie in"):
        dropout_penalty(X, 1.0)


def test_fresh_noise_is_ridge_and_noise_on_labels_is_not(data):  # G03
    X, y = data
    generator, sigma, copies = np.random.default_rng(1), 0.5, 3000
    noisy = X + sigma * generator.normal(size=(copies, *X.shape))
    gram, cross = np.einsum("cni,cnj->ij", noisy, noisy) / copies, np.einsum("cni,n->i", noisy, y) / copies
    found, plain = np.linalg.solve(gram, cross), np.linalg.lstsq(X, y, rcond=None)[0]
    ridge = ridge_solution(X, y, noise_penalty(30, sigma**2))
    assert np.linalg.norm(found - ridge) < 0.1 * np.linalg.norm(plain - ridge)


def test_early_stopping_is_near_ridge_but_not_equal():  # G04
    s = np.geomspace(1e-6, 1.0, 20001)
    lr, steps = 1e-2, 1000
    gap = np.abs(descent_filter(s, lr, steps) - ridge_filter(s, stopping_penalty(lr, steps)))
    assert gap.max() == pytest.approx(0.2036, abs=1e-3)
    x = lr * steps * s
    ratio = (-np.expm1(-x) * (1 + x) / x) ** 2
    assert ratio.max() == pytest.approx(1.6862, abs=6e-4) and ratio.max() <= 1.6862  # the theorem's constant
    assert (
        np.abs(descent_filter(s, lr, 10 * steps) - ridge_filter(s, stopping_penalty(lr, steps))).max() > 0.5
    )  # control


def test_filters_are_those_of_a_run(data):
    X, y = data
    n, lr, steps = 30, 0.01, 50
    values, basis = np.linalg.eigh(X.T @ X / n)
    w = np.zeros(4)
    for _ in range(steps):
        w -= lr * X.T @ (X @ w - y) / n
    best = np.linalg.lstsq(X, y, rcond=None)[0]
    assert_allclose(basis.T @ w, descent_filter(values, lr, steps) * (basis.T @ best), rtol=1e-9)
    penalty = stopping_penalty(lr, steps)
    assert_allclose(
        basis.T @ ridge_solution(X, y, n * penalty), ridge_filter(values, penalty) * (basis.T @ best), rtol=1e-9
    )
