"""Exact facts about batch normalization (N06, N07, N11, N12, N18)."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import batch_noise, epsilon_shrinkage, exponential_rate, normalization_gap


def gradient(w, invariant=True):
    """Of (Aw·w)/‖w‖², which is scale-invariant; of Aw·w, which is not."""
    A = np.diag([1.0, 2.0, 5.0])
    square = w @ w if invariant else 1.0
    return 2 * (A @ w - (w @ A @ w / (w @ w) * w if invariant else 0)) / square


def directions(invariant=True, momentum=0.9, first_buffer=True):
    """The two trajectories' largest difference in direction."""
    lr, decay = 0.1, 5e-4
    rate = exponential_rate(lr, decay, momentum)
    w = v = np.array([1.0, 1.0, 1.0])
    b, c = np.zeros(3), (rate.buffer * v if first_buffer else np.zeros(3))
    gap = 0.0
    for t in range(200):
        b = momentum * b + gradient(w, invariant) + decay * w
        w = w - lr * b
        c = momentum * c + gradient(v, invariant)
        v = v - lr * rate.alpha ** (-2 * t - 1) * c
        gap = max(gap, np.abs(w / np.linalg.norm(w) - v / np.linalg.norm(v)).max())
    return gap


def test_exponential_rate_reference_numbers():
    rate = exponential_rate(0.1, 5e-4, 0.9)
    assert rate.alpha == pytest.approx(0.999498, abs=5e-7) and rate.growth == pytest.approx(1.00101, abs=5e-6)
    assert exponential_rate(0.1, 0.5).alpha == pytest.approx(0.95)  # γ = 0: 1 − λη
    assert exponential_rate(0.1, 0.0, 0.9)[:2] == pytest.approx((1, 1))  # control: no decay


def test_weight_decay_is_a_growing_rate_where_the_loss_is_scale_invariant():
    assert directions() < 1e-10 and directions(momentum=0.0) < 1e-10
    assert directions(first_buffer=False) > 1e-5  # control: the buffer's start matters
    assert directions(invariant=False) > 1e-5  # control: and so does the invariance


def test_gradient_is_orthogonal_and_scales_inversely():
    w = np.array([0.3, -1.0, 2.0])
    assert w @ gradient(w) == pytest.approx(0, abs=1e-14)
    assert_allclose(gradient(4 * w), gradient(w) / 4)
    assert abs(w @ gradient(w, invariant=False)) > 1  # control


def test_batch_noise_is_that_of_batches():
    assert_allclose(batch_noise([2, 8, 32]), [0.870, 0.194, 0.0472], rtol=4e-3)  # those were simulated
    assert_allclose(batch_noise([1000, 10000]) * [1000, 10000], 1.5, rtol=2e-3)
    for size in (2, 5, 16):
        x = np.random.default_rng(size).normal(size=(100_000 // size, size))
        normalized = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
        errors = ((normalized - x) ** 2).mean(1)
        assert errors.mean() == pytest.approx(batch_noise(size), abs=4 * errors.std() / errors.size**0.5)
    with pytest.raises(ValueError, match="2 or more"):
        batch_noise(1)


def test_epsilon_and_the_gap_of_normalizing():
    assert_allclose(epsilon_shrinkage([2e-6, 2e-4, 2.0]), [0.408, 0.976, 1.0], atol=5e-4)
    assert epsilon_shrinkage(2e-6, eps=0.0) == 1  # control
    t = np.random.default_rng(0).normal(size=8)
    t = 3 + 2 * (t - t.mean()) / t.std()
    assert normalization_gap(t) == pytest.approx(40)
    assert normalization_gap((t - 3) / 2) == pytest.approx(0, abs=1e-20)  # control: already normalized
    best = (t - t.mean()) / t.std()
    others = np.random.default_rng(1).normal(size=(2000, 8))
    others = (others - others.mean(1, keepdims=True)) / others.std(1, keepdims=True)
    assert 0.5 * np.sum((best - t) ** 2) == pytest.approx(40) and (0.5 * np.sum((others - t) ** 2, 1) >= 40).all()


def test_too_much_decay_has_no_equivalent():
    with pytest.raises(ValueError, match="must satisfy"):
        exponential_rate(1.0, 0.5, 0.9)
