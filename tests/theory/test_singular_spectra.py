"""Jacobians' singular values by free probability (S12): reference numbers, exact laws, and random nets."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import ndtri

from trainwell.theory import MarchenkoPastur, critical, jacobian_spectrum, nonlinearity
from trainwell.theory.piecewise import PiecewiseLinear


def drawn(activation, depth, q, gaussian, width=300, nets=3, seed=0):
    """Eigenvalues of JJᵀ of nets whose pre-activations are quantiles of N(0, q), critical."""
    generator = np.random.default_rng(seed)
    function, found = nonlinearity(activation), []
    scale = critical(activation, q).sigma_w
    quantiles = ndtri((np.arange(width) + 0.5) / width)  # so that the share of flat units doesn't vary
    for _ in range(nets):
        jacobian = np.eye(width)
        for _ in range(depth):
            weight = generator.normal(size=(width, width)) / width**0.5
            if not gaussian:
                basis, r = np.linalg.qr(weight)
                weight = basis * np.sign(np.diag(r))
            slopes = function.derivative(generator.permutation(quantiles) * q**0.5)
            jacobian = slopes[:, None] * (scale * weight @ jacobian)
        found.append(np.linalg.svd(jacobian, compute_uv=False) ** 2)
    return np.sort(np.concatenate(found))


@pytest.mark.parametrize(
    ("depth", "gaussian", "largest", "at_one", "above"),
    [
        (5, False, 3.494, None, 0.330),
        (5, True, 5.222, None, 0.255),
        (10, False, 5.081, None, None),
        (10, True, 7.376, None, None),
    ],
)
def test_relu_reference_numbers(depth, gaussian, largest, at_one, above):
    spectrum = jacobian_spectrum("relu", depth, gaussian=gaussian)
    assert spectrum.largest == pytest.approx(largest, abs=6e-4)
    assert spectrum.variance == pytest.approx(depth * (2 if gaussian else 1)) and spectrum.mean == pytest.approx(1)
    assert spectrum.zeros == pytest.approx(0.5)
    if above:
        assert 1 - spectrum.cdf(0.1) == pytest.approx(above, abs=6e-4)
        assert spectrum.density(1.0) == pytest.approx(0.0506 if gaussian else 0.0680, abs=6e-5)


def test_hard_tanh_reference_numbers():  # isometry: orthogonal, q → 0
    spectrum = jacobian_spectrum("hard_tanh", 10, q=0.1)
    assert spectrum.slope_moment(1) == pytest.approx(0.99843, abs=5e-6)
    assert spectrum.variance == pytest.approx(0.0157, abs=5e-5)
    assert jacobian_spectrum("hard_tanh", 10, q=0.1, gaussian=True).variance == pytest.approx(10.02, abs=5e-3)
    p = spectrum.slope_moment(1)
    assert spectrum.atom == pytest.approx((p**-10, 1 - 10 * (1 - p)), rel=1e-9)
    nearly = jacobian_spectrum("hard_tanh", 10, q=0.02)  # 1 − p = 1.5e-12
    assert 0 < nearly.edge < 1e-9 and nearly.cdf(0.99) < 1e-10 and nearly.cdf(1.01) == 1
    assert jacobian_spectrum("hard_tanh", 10, q=0.01).variance < 1e-10
    assert jacobian_spectrum("relu", 10, q=0.01).variance == pytest.approx(10)  # control: ReLU cannot
    assert jacobian_spectrum("tanh", 10, q=1e-4).variance < 1e-5


def test_one_gaussian_linear_layer_is_marchenko_pastur():
    spectrum, law = jacobian_spectrum("identity", 1, gaussian=True), MarchenkoPastur(1.0)
    x = np.linspace(0.01, 3.99, 50)
    assert_allclose(spectrum.density(x), law.density(x), rtol=1e-6)
    assert_allclose(spectrum.cdf(x), law.cdf(x), atol=2e-4)
    assert spectrum.largest == pytest.approx(2)


def test_one_orthogonal_layer_of_relu_is_two_atoms():
    spectrum = jacobian_spectrum("relu", 1)
    assert spectrum.atom == pytest.approx((2, 0.5)) and spectrum.cdf([0.5, 1.9, 2.1]) == pytest.approx([0.5, 0.5, 1])
    assert jacobian_spectrum("identity", 50).cdf([0.99, 1.01]) == pytest.approx([0, 1])  # control: all isometries


@pytest.mark.parametrize("depth", [2, 3, 30])
def test_a_leaky_spectrum_is_symmetric_about_its_middle(depth):  # D² → α²/D² is the same law, and so for its parts
    spectrum = jacobian_spectrum("leaky_relu", depth)
    middle, factor = (spectrum.weight_variance * 0.01) ** depth, np.array([1.5, 10.0, 1e3])
    assert spectrum.cdf(middle) == pytest.approx(0.5, abs=2e-3)
    assert_allclose(spectrum.cdf(middle / factor), 1 - spectrum.cdf(middle * factor), atol=2e-3)


def test_two_orthogonal_relu_layers_are_half_an_arcsine_law():  # a product of two free projections
    spectrum = jacobian_spectrum("relu", 2)
    x = np.linspace(0.05, 3.95, 50)
    assert_allclose(spectrum.density(x), 0.5 / (np.pi * np.sqrt(x * (4 - x))), rtol=1e-6)
    assert spectrum.singular_density(1.0) == pytest.approx(2 * spectrum.density(1.0))


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize(("activation", "q"), [("relu", 1.0), ("tanh", 0.5), ("leaky_relu", 1.0), ("hard_tanh", 1.0)])
@pytest.mark.parametrize("depth", [2, 40])
def test_mass_mean_and_variance_are_those_of_the_density(activation, q, gaussian, depth):
    spectrum = jacobian_spectrum(activation, depth, q=q, gaussian=gaussian)
    location, atom = spectrum.atom
    x = np.geomspace(1e-8, 1, 4001) * spectrum.edge
    middle = np.sqrt(x[1:] * x[:-1])
    mass = np.diff(spectrum.cdf(x))
    assert spectrum.cdf(1e-300) == pytest.approx(spectrum.zeros, abs=2e-3) and spectrum.cdf(1e9) == 1
    assert mass @ middle + atom * location == pytest.approx(spectrum.mean, rel=2e-3)
    assert mass @ middle**2 + atom * location**2 == pytest.approx(spectrum.mean**2 + spectrum.variance, rel=4e-3)


@pytest.mark.parametrize(
    ("activation", "q", "gaussian", "depth"),
    [
        ("relu", 1.0, False, 5),
        ("relu", 1.0, True, 5),
        ("hard_tanh", 1.0, False, 6),
        ("tanh", 0.5, False, 4),
        ("tanh", 0.5, True, 4),
    ],
)
def test_random_nets_follow(activation, q, gaussian, depth):
    eigenvalues = drawn(activation, depth, q, gaussian)
    eigenvalues = eigenvalues[eigenvalues > 1e-12]
    spectrum = jacobian_spectrum(activation, depth, q=q, gaussian=gaussian)
    ranks = (np.arange(eigenvalues.size) + 0.5) / eigenvalues.size
    share = (spectrum.cdf(eigenvalues) - spectrum.zeros) / (1 - spectrum.zeros)
    assert np.abs(share - ranks).max() < 0.02
    other = jacobian_spectrum(activation, depth, q=q, gaussian=not gaussian)  # control
    assert np.abs((other.cdf(eigenvalues) - other.zeros) / (1 - other.zeros) - ranks).max() > 0.05


def test_what_has_no_spectrum_is_named():
    with pytest.raises(ValueError, match="depth=0"):
        jacobian_spectrum("relu", 0)
    with pytest.raises(ValueError, match="one orthogonal layer"):
        jacobian_spectrum("tanh", 1)
    with pytest.raises(ValueError, match="0 almost everywhere"):
        jacobian_spectrum(PiecewiseLinear("flat", (0.0,), (0.0, 0.0), (1.0, 1.0)), 2)
    with pytest.raises(ValueError, match="no derivative of one number"):
        jacobian_spectrum("maxout", 2)
    with pytest.raises(ValueError, match="sigma_w=0"):
        jacobian_spectrum("relu", 2, sigma_w=0.0)
