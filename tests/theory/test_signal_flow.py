"""Moments of signal and gradient per layer: reference numbers of the claims, and networks in NumPy."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from trainwell.theory import (
    NONLINEARITIES,
    WEIGHT_VARIANCES,
    nonlinearity,
    propagate_signal,
    tanh_saturation,
    weight_to_gradient,
    weight_variance,
)


def measured(activation, widths, variances, nets, seed=0):
    """Mean over nets of E h_l², ‖∂L/∂h_l‖² and ‖∂L/∂W_l‖² for a random ∂L/∂h_L of norm 1."""
    generator = np.random.default_rng(seed)
    function = nonlinearity(activation)
    depth = len(widths) - 1
    total = np.zeros((3, depth))
    for _ in range(nets):
        h, z, weights = [generator.normal(size=widths[0])], [], []
        for n, above, variance in zip(widths[:-1], widths[1:], variances, strict=True):
            weights.append(generator.normal(size=(above, n)) * variance**0.5)
            z.append(weights[-1] @ h[-1])
            h.append(function.value(z[-1]))
        pulled = generator.normal(size=widths[-1])
        pulled /= np.linalg.norm(pulled)
        for l in reversed(range(depth)):
            error = pulled * function.derivative(z[l])
            total[:, l] += np.mean(h[l + 1] ** 2), pulled @ pulled, (error @ error) * (h[l] @ h[l])
            pulled = weights[l].T @ error
    return total / nets


def test_small_tanh_weights_let_the_signal_die():  # S01
    xavier = propagate_signal("tanh", [4096] * 7, 1 / 4096)
    small = propagate_signal("tanh", [4096] * 7, 0.01**2)
    assert_allclose(small.std, [0.492, 0.289, 0.179, 0.113, 0.0721, 0.0460], rtol=3e-3)
    assert xavier.weight_gradient[0] / small.weight_gradient[0] == pytest.approx(4.57, abs=0.005)
    narrow = propagate_signal("tanh", [1024] * 7, 0.01**2)
    assert_allclose(narrow.std[[0, -1]], [0.293, 9.74e-4], rtol=2e-3)
    ratio = propagate_signal("tanh", [1024] * 7, 1 / 1024).weight_gradient[0] / narrow.weight_gradient[0]
    assert ratio == pytest.approx(111.5, abs=0.05)


def test_large_tanh_weights_saturate_and_gradients_grow():  # S02; control: Xavier does not saturate
    xavier = propagate_signal("tanh", [4096] * 7, 1 / 4096)
    large = propagate_signal("tanh", [4096] * 7, 0.05**2)
    assert_allclose(tanh_saturation(large.q), [0.567, 0.511, 0.502, 0.501, 0.500, 0.500], atol=6e-4)
    assert_allclose(large.mean_slope, [0.240, 0.272, 0.278, 0.279, 0.279, 0.279], atol=6e-4)
    assert_allclose(large.chi, [1.68, 1.91, 1.95, 1.96, 1.96, 1.96], atol=6e-3)
    assert xavier.weight_gradient[0] / large.weight_gradient[0] == pytest.approx(0.159, abs=5e-4)
    assert (
        tanh_saturation(xavier.q)[0] == pytest.approx(0.067, abs=5e-4) and (tanh_saturation(xavier.q)[1:] < 4e-3).all()
    )


def test_xavier_with_tanh_decays_like_a_power():  # S03
    flow = propagate_signal("tanh", [1000] * 7, 1 / 1000)
    assert_allclose(flow.std, [0.628, 0.486, 0.408, 0.358, 0.322, 0.294], atol=6e-4)
    assert_allclose(flow.chi, [0.464, 0.637, 0.727, 0.782, 0.819, 0.845], atol=6e-4)
    linear = propagate_signal("identity", [1000] * 7, 1 / 1000)  # control
    assert_allclose(linear.m, 1.0)
    assert_allclose(linear.chi, 1.0)


def test_xavier_of_unequal_widths_is_between_the_two_passes():  # S03
    flow = propagate_signal("identity", [200, 100], weight_variance("xavier", 200, 100))
    assert flow.m[0] == pytest.approx(4 / 3) and flow.chi[0] == pytest.approx(2 / 3)


def test_relu_halves_under_lecun_and_keeps_under_kaiming():  # S04–S06
    assert_allclose(propagate_signal("relu", [64] * 31, 1 / 64).m, 0.5 ** np.arange(1, 31))
    kept = propagate_signal("relu", [64] * 31, 2 / 64)
    assert_allclose(kept.m, 1.0)
    assert_allclose(kept.signal_gradient, 1.0)
    literal = propagate_signal("relu", [256] * 11, 2 / 256**0.5)  # 2/√n taken as a variance
    assert np.log10(literal.m[-1]) == pytest.approx(12.04, abs=5e-3)


def test_classical_rule_shrinks_by_the_root_of_three():  # S08; control: Xavier
    n = 128
    assert_allclose(
        propagate_signal("identity", [n] * 4, weight_variance("classical", n, n)).std, 3 ** (-np.arange(1, 4) / 2)
    )
    assert_allclose(propagate_signal("identity", [n] * 4, weight_variance("xavier", n, n)).std, 1.0)


@pytest.mark.parametrize(("scale", "slope", "q"), [(1, -0.627, 0.2647), (4, -0.383, 1.197)])
def test_sigmoid_gradients_vanish_at_the_predicted_slope(scale, slope, q):  # S09
    flow = propagate_signal("sigmoid", [100] * 13, scale / 100)
    assert_allclose(-np.diff(np.log10(flow.signal_gradient))[2:], slope, atol=6e-4)
    assert_allclose(-np.diff(np.log10(flow.weight_gradient))[3:], slope, atol=6e-4)
    assert flow.q[-1] == pytest.approx(q, abs=6e-4) and flow.chi[-1] ** 0.5 <= scale**0.5 / 4


def test_geometric_scaling_balances_layers():  # S19; control: equal widths
    widths = np.array([64, 512, 128, 1024, 256])
    spread = {
        r: weight_to_gradient(widths, weight_variance(r, widths[:-1], widths[1:])).max() for r in WEIGHT_VARIANCES
    }
    assert spread["kaiming"] == pytest.approx(32) and spread["xavier"] == pytest.approx(1.62, abs=5e-3)
    assert spread["geometric"] == pytest.approx(1)
    assert all(
        weight_to_gradient([64] * 4, weight_variance(r, [64] * 3, [64] * 3)).max() == 1 for r in WEIGHT_VARIANCES
    )


@pytest.mark.parametrize(
    ("activation", "rule", "times", "nets"),
    [("relu", "kaiming", 1, 250), ("tanh", "xavier", 3, 40), ("tanh", "classical", 3, 40)],
)
def test_networks_of_unequal_widths_agree(activation, rule, times, nets):  # Monte Carlo; ReLU is exact at any width
    widths = [128 * times, 256 * times, 192 * times, 256 * times, 320 * times]
    tolerance = 0.08 if activation == "relu" else 0.04  # 4 s.e.: √(5 Σ 1/n / nets); tanh also errs by O(L/n)
    variances = weight_variance(rule, widths[:-1], widths[1:])
    flow = propagate_signal(activation, widths, variances)
    found = measured(activation, widths, variances, nets)
    theory = [flow.m, flow.signal_gradient**2, flow.weight_gradient**2]
    assert_allclose(found, theory, rtol=tolerance)
    other = propagate_signal(activation, widths, variances * 1.3)  # control: the test would see other weights
    assert np.abs(found[0] / other.m - 1).max() > 2 * tolerance


def test_biases_and_mixed_layers():
    flow = propagate_signal(["relu", "identity"], [50, 50, 10], 0.04, bias_variance=0.5, input_moment=2.0)
    assert_allclose(flow.q, [50 * 0.04 * 2 + 0.5, 50 * 0.04 * 2.25 + 0.5])
    assert_allclose(flow.m, [2.25, 5.0])
    assert flow.signal_gradient.tolist() == pytest.approx([(50 * 0.04) ** 0.5, 1.0])


@pytest.mark.parametrize("activation", NONLINEARITIES)
def test_every_nonlinearity_flows(activation):
    flow = propagate_signal(activation, [30, 30, 30], 0.03)
    assert np.isfinite([flow.q, flow.m, flow.chi, flow.signal_gradient, flow.weight_gradient]).all()


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="2 weight variances for 3 layers"):
        propagate_signal("relu", [4] * 4, [1.0, 1.0])
    with pytest.raises(ValueError, match="1 activations for 2 layers"):
        propagate_signal(["relu"], [4] * 3, 1.0)
    with pytest.raises(ValueError, match="two or more"):
        propagate_signal("relu", [4], 1.0)
    with pytest.raises(ValueError, match="above 0"):
        propagate_signal("relu", [4, 4], 1.0, input_moment=0.0)
    with pytest.raises(ValueError, match="no rule is called 'glorot'"):
        weight_variance("glorot", 1, 1)
    with pytest.raises(ValueError, match="1 or more"):
        weight_variance("xavier", 0, 1)
    with pytest.raises(ValueError, match="between 0 and 1"):
        tanh_saturation(1.0, 1.0)
