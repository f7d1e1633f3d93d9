"""Learning time of deep linear nets (S13): closed forms, reference steps, and matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import learning_time, mode_strengths, steps_to_loss


def test_closed_forms_of_one_and_two_layers():
    assert learning_time(0.01, 0.9, 1.0, 1) == pytest.approx(np.log(0.99 / 0.1), rel=1e-9)  # e^{−t}
    s, start, end = 2.0, 0.01, 1.9
    logistic = np.log(end * (s - start) / (start * (s - end))) / (2 * s)  # Saxe et al. 2014, eq. 5
    assert learning_time(start, end, s, 2) == pytest.approx(logistic, rel=1e-9)


def test_reference_steps_are_bounded_with_depth():
    assert [steps_to_loss(0.5, 1.0, depth, 0.1 / depth, 1e-3) for depth in (2, 8, 32, 128)] == [30, 37, 39, 40]


def test_a_start_that_falls_with_depth_takes_ever_longer():  # control: Gaussian weights
    steps = [steps_to_loss(0.5**depth, 1.0, depth, 0.1 / depth, 1e-3) for depth in (2, 4, 6, 8)]
    assert (np.diff(steps) > 0).all() and steps[-1] > 20 * steps[0]


@pytest.mark.parametrize("depth", [1, 2, 5])
@pytest.mark.parametrize("start", [0.05, 1.8])
def test_small_steps_follow_the_flow(depth, start):
    lr = 1e-4
    strengths = mode_strengths(start, 1.0, depth, lr, 20000)
    for step in (2000, 10000):
        assert learning_time(start, strengths[step], 1.0, depth) == pytest.approx(lr * step, rel=2e-3)


def test_modes_are_those_of_matrices():
    generator = np.random.default_rng(0)
    left, right = (np.linalg.qr(generator.normal(size=(3, 3)))[0] for _ in range(2))
    target = left @ np.diag([2.0, 1.0, 0.5]) @ right.T
    start, depth, lr = np.array([0.3, 0.2, 0.1]), 3, 0.02
    factor = np.diag(start ** (1 / depth))
    layers = [factor @ right.T, factor, left @ factor]
    expected = mode_strengths(start, [2.0, 1.0, 0.5], depth, lr, 150)
    for step in range(151):
        product = layers[2] @ layers[1] @ layers[0]
        assert_allclose(np.diag(left.T @ product @ right), expected[step], atol=1e-10)
        error = product - target
        gradients = [
            (layers[2] @ layers[1]).T @ error,
            layers[2].T @ error @ layers[0].T,
            error @ (layers[1] @ layers[0]).T,
        ]
        layers = [w - lr * g for w, g in zip(layers, gradients, strict=True)]
    assert expected[-1, 0] > 1.99 and expected[-1, 2] < 0.5  # the strong mode first


def test_what_never_learns_is_named():
    assert steps_to_loss(1e-9, 1.0, 8, 0.01, 1e-3, limit=100) == -1
    with pytest.raises(ValueError, match="above 0"):
        mode_strengths(0.0, 1.0, 2, 0.1, 1)
    with pytest.raises(ValueError, match="before the target"):
        learning_time(0.1, 1.0, 1.0, 2)
