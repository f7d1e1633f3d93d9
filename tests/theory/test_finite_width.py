"""The log-normal fluctuation of norms (S10): reference numbers, leading orders, and networks in NumPy."""

import numpy as np
import pytest

from trainwell.theory import log_norm, log_norm_step


def test_reference_numbers():
    assert [log_norm_step(n)[1] for n in (10, 20, 50, 100)] == pytest.approx([0.8667, 0.3118, 0.1082, 0.0519], abs=5e-5)
    assert log_norm_step(20)[0] == pytest.approx(-0.137, abs=5e-4)
    assert log_norm([20] * 10).variance == pytest.approx(3.118, abs=5e-4)
    assert log_norm([512] * 30).relative_std == pytest.approx(0.58, abs=5e-3)
    assert log_norm([4096] * 30).relative_std == pytest.approx(0.193, abs=5e-4)
    assert log_norm([10]).dead == pytest.approx(2.0**-10)


@pytest.mark.parametrize("linear", [False, True])
def test_leading_orders(linear):  # v = a/n + O(1/n²), u = −v/2 + O(1/n²): a log-normal law of mean 1
    mean, variance = log_norm_step(100_000, linear=linear)
    assert variance * 1e5 == pytest.approx(2 if linear else 5, rel=1e-3)
    assert mean * 1e5 == pytest.approx(-1 if linear else -2.5, rel=1e-3)


def test_relu_networks_agree():
    generator = np.random.default_rng(0)
    widths, nets = [30, 20, 40, 25], 8000
    h = np.ones((nets, 15))
    for n in widths:
        weight = generator.normal(size=(nets, n, h.shape[1])) * (2 / h.shape[1]) ** 0.5
        h = np.maximum(np.einsum("bij,bj->bi", weight, h), 0)
    square = np.sum(h**2, 1)
    expected = log_norm(widths)
    logs = np.log(square)
    kurtosis = np.mean((logs - logs.mean()) ** 4) / logs.var() ** 2
    assert logs.var() == pytest.approx(expected.variance, rel=4 * ((kurtosis - 1) / nets) ** 0.5)
    assert logs.mean() == pytest.approx(expected.mean + np.log(25), abs=4 * (expected.variance / nets) ** 0.5)
    assert np.mean(square**2) / square.mean() ** 2 == pytest.approx(expected.moment_ratio, rel=0.08)
    assert abs(logs.var() / log_norm(widths, linear=True).variance - 1) > 1  # control: no ReLU is another law


def test_orthogonal_layers_do_not_fluctuate():  # control
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(8, 12, 12)))
    h = np.ones(12)
    for matrix in q:
        h = matrix @ h
    assert h @ h == pytest.approx(12)


def test_a_width_below_one_is_refused():
    with pytest.raises(ValueError, match="1 or more"):
        log_norm([4, 0])
