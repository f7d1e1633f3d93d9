"""The perceptron's bound (L10), dead units (S20) and signs of gradients (S15)."""

import numpy as np
import pytest

from trainwell.theory import dead_chance, majority_share, perceptron_bound


def mistakes(X, y, limit=100_000):
    """Until a clean pass; −1 if there is none within the limit."""
    w, count = np.zeros(X.shape[1]), 0
    while count < limit:
        clean = True
        for row, label in zip(X, y, strict=True):
            if label * (w @ row) <= 0:
                w, count, clean = w + label * row, count + 1, False
        if clean:
            return count
    return -1


@pytest.mark.parametrize("seed", range(5))
def test_the_perceptron_keeps_the_bound(seed):
    generator = np.random.default_rng(seed)
    teacher = generator.normal(size=10)
    X = generator.normal(size=(400, 10))
    X = X[np.abs(X @ teacher) > 0.1 * np.linalg.norm(teacher)][:200]
    y = np.sign(X @ teacher)
    count = mistakes(X, y)
    assert 0 < count <= perceptron_bound(X, y, teacher) == pytest.approx(perceptron_bound(X, y, 7 * teacher))


def test_a_tight_case_and_one_that_cannot_be_separated():
    X, y = np.eye(5), np.ones(5)
    assert mistakes(X, y) == 5 == pytest.approx(perceptron_bound(X, y, np.ones(5)))  # (R/γ)² = (1/(1/√5))²
    labels = np.array([1, 1, -1])
    line = np.array([[1.0], [-1.0], [0.5]])
    assert perceptron_bound(line, labels, [1.0]) == float("inf") and mistakes(line, labels, 1000) == -1  # control


def test_dead_units():
    assert dead_chance([-3.0, -4.0], 1000) == pytest.approx([0.259, 0.969], abs=5e-4)
    z = np.random.default_rng(0).normal(size=(20000, 10)) - 1.0
    found = np.mean((z <= 0).all(1))
    expected = float(dead_chance(-1.0, 10))
    assert found == pytest.approx(expected, abs=4 * (expected * (1 - expected) / 20000) ** 0.5)
    assert dead_chance(0.0, 1000) < 1e-300  # control: centred units don't die


def test_majority_of_signs():
    assert majority_share([20, 100]) == pytest.approx([0.588, 0.540], abs=5e-4)
    assert majority_share([1, 2, 3]) == pytest.approx([1.0, 0.75, 0.75])
    x = np.random.default_rng(0).normal(size=(20000, 20))
    positive = np.mean(x > 0, 1)
    found = np.maximum(positive, 1 - positive)
    assert found.mean() == pytest.approx(majority_share(20), abs=4 * found.std() / 20000**0.5)
    assert np.mean(np.abs(x) > 0) == 1  # control: positive inputs agree in all entries
