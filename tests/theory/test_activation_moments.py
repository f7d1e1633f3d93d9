"""Each nonlinearity of theory: against numerical integration, Monte Carlo, finite differences, torch."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.special import erf
from scipy.stats import norm

from trainwell.nn.nonlinear import activations as named
from trainwell.theory import NONLINEARITIES, expectation, nonlinearity

SCALAR = tuple(name for name in NONLINEARITIES if name != "maxout")
VARIANTS = (
    ("leaky_relu", {"slope": 0.3}),
    ("prelu", {"slope": -0.7}),
    ("elu", {"alpha": 0.6}),
    ("celu", {"alpha": 2.5}),
    ("softplus", {"beta": 3.0}),
    ("hard_tanh", {"low": -0.5, "high": 2.0}),
    ("gelu", {"approximate": "tanh"}),
)
CASES = [(name, {}) for name in SCALAR if name != "randomized_leaky_relu"] + list(VARIANTS)
VARIANCES = (1e-4, 0.1, 1.0, 20.0)


def integral(function, q, kinks):
    """E f(x), x ~ N(0, q), by scipy's adaptive quadrature between the kinks."""
    reach = 12 * q**0.5
    ends = [-reach, *sorted({k for k in (0.0, *kinks) if abs(k) < reach}), reach]
    return sum(
        quad(lambda x: float(function(x)) * norm.pdf(x, scale=q**0.5), *pair, epsabs=1e-300, epsrel=1e-11, limit=200)[0]
        for pair in itertools.pairwise(ends)
    )


@pytest.mark.filterwarnings("ignore::scipy.integrate.IntegrationWarning")  # an odd function integrates to rounding
@pytest.mark.parametrize(("name", "parameters"), CASES)
@pytest.mark.parametrize("q", VARIANCES)
def test_moments_are_scipys_integrals(name, parameters, q):
    f = nonlinearity(name, **parameters)
    size = np.sqrt(integral(lambda x: f.value(x) ** 2, q, f.kinks))
    assert_allclose(f.mean(q), integral(f.value, q, f.kinks), rtol=1e-10, atol=1e-12 * size)
    assert_allclose(f.second_moment(q), size**2, rtol=1e-10)
    assert_allclose(f.slope_moment(q), integral(lambda x: f.derivative(x) ** 2, q, f.kinks), rtol=1e-10)


@pytest.mark.parametrize("name", NONLINEARITIES)
def test_moments_agree_with_monte_carlo(name):
    draws, q = np.random.default_rng(0), 1.7
    f = nonlinearity(name)
    z = np.sqrt(q) * draws.standard_normal((200_000, 2))
    if name == "maxout":
        y, slope = f.value(z), f.derivative(z)
        slopes = (slope**2).sum(1)
    elif name == "randomized_leaky_relu":
        slope = np.where(z >= 0, 1.0, draws.uniform(f.lower, f.upper, z.shape))
        y, slopes = slope * z, slope**2
    else:
        y, slopes = f.value(z), f.derivative(z) ** 2
    for got, sample in ((f.mean(q), y), (f.second_moment(q), y**2), (f.slope_moment(q), slopes)):
        assert abs(float(got) - sample.mean()) <= 5 * sample.std() / sample.size**0.5 + 1e-12


@pytest.mark.parametrize("name", NONLINEARITIES)
@pytest.mark.parametrize("c", [-0.8, 0.3, 0.99])
def test_covariances_agree_with_monte_carlo(name, c):
    draws, q = np.random.default_rng(1), 1.7
    f = nonlinearity(name)
    z = draws.standard_normal((2, 200_000, 2))
    u, v = np.sqrt(q) * z[0], np.sqrt(q) * (c * z[0] + (1 - c * c) ** 0.5 * z[1])
    products = f.value(u) * f.value(v)
    slopes = f.derivative(u) * f.derivative(v)
    slopes = slopes.sum(1) if name == "maxout" else slopes
    for got, sample in ((f.covariance(q, c), products), (f.slope_covariance(q, c), slopes)):
        assert abs(float(got) - sample.mean()) <= 5 * sample.std() / sample.size**0.5 + 1e-12


@pytest.mark.parametrize(("name", "parameters"), CASES)
@pytest.mark.parametrize("q", [0.1, 1.0, 9.0])
def test_covariance_at_its_ends_and_its_slope(name, parameters, q):
    f = nonlinearity(name, **parameters)
    assert_allclose(f.covariance(q, [0.0, 1.0]), [f.mean(q) ** 2, f.second_moment(q)], rtol=1e-11, atol=1e-14)
    if name != "sign":  # its slope is the straight-through one
        step = 1e-5
        difference = (f.covariance(q, 0.4 + step) - f.covariance(q, 0.4 - step)) / (2 * step * q)
        assert_allclose(difference, f.slope_covariance(q, 0.4), rtol=1e-7)
        assert_allclose(f.slope_covariance(q, 1.0), f.slope_moment(q), rtol=1e-7)  # hard tanh: ∝ √(1 − c) at c = 1


@pytest.mark.parametrize(("name", "parameters"), CASES)
def test_growth_is_the_derivative_of_the_second_moment(name, parameters):
    f = nonlinearity(name, **parameters)
    for q in (0.3, 1.0, 5.0):
        step = 1e-4 * q
        difference = (f.second_moment(q + step) - f.second_moment(q - step)) / (2 * step)
        assert_allclose(f.growth(q), difference, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(("name", "parameters"), [case for case in CASES if case[0] != "sign"])
def test_derivative_is_the_finite_difference(name, parameters):
    f = nonlinearity(name, **parameters)
    x = np.linspace(-4.03, 4.03, 150)
    step = 1e-6
    x = x[np.abs(x[:, None] - np.array([0.0, *f.kinks])).min(1) > 1e-4]
    assert_allclose(f.derivative(x), (f.value(x + step) - f.value(x - step)) / (2 * step), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", named.ACTIVATIONS)
def test_function_and_slope_are_torchs(name):
    module = named.activation(name).double().eval()
    f = named.nonlinearity_of(module)
    assert f == nonlinearity(name) or name in ("sigmoid", "tanh", "softplus", "silu", "mish")  # lambdas differ
    x = torch.linspace(-7.1, 7.1, 402, dtype=torch.float64).view(-1, 2).requires_grad_()
    y = module(x)
    slope = torch.autograd.grad(y.sum(), x)[0]
    assert_allclose(f.value(x.detach().numpy()).ravel(), y.detach().numpy().ravel(), rtol=1e-12, atol=1e-14)
    assert_allclose(f.derivative(x.detach().numpy()), slope.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("name", "parameters"), VARIANTS)
def test_parameters_are_torchs(name, parameters):
    modules = {
        "leaky_relu": torch.nn.LeakyReLU(0.3),
        "prelu": torch.nn.PReLU(init=-0.7),
        "elu": torch.nn.ELU(0.6),
        "celu": torch.nn.CELU(2.5),
        "softplus": torch.nn.Softplus(3.0),
        "hard_tanh": torch.nn.Hardtanh(-0.5, 2.0),
        "gelu": torch.nn.GELU("tanh"),
    }
    module = modules[name].double()
    x = torch.linspace(-5, 5, 301, dtype=torch.float64)
    f = named.nonlinearity_of(module)
    assert_allclose(f.value(x.numpy()), module(x).detach().numpy(), rtol=1e-7 if name == "prelu" else 1e-12, atol=1e-13)
    assert_allclose(f.second_moment(1.3), nonlinearity(name, **parameters).second_moment(1.3), rtol=1e-7)


def test_closed_values():
    q = np.array([0.1, 1.0, 4.0])
    assert_allclose(nonlinearity("relu").second_moment(q), q / 2)
    assert_allclose(nonlinearity("relu").mean(q), np.sqrt(q / (2 * np.pi)))
    assert_allclose(nonlinearity("hard_tanh").slope_moment(q), erf(1 / np.sqrt(2 * q)), rtol=1e-14)
    assert_allclose(nonlinearity("hard_tanh").slope_moment(0.1), 0.99843, atol=5e-6)  # THEORY S12
    assert_allclose(nonlinearity("selu").second_moment(1.0), 1.0, rtol=1e-12)  # Klambauer et al.'s fixed point
    assert_allclose(nonlinearity("selu").mean(1.0), 0.0, atol=1e-14)
    assert_allclose(nonlinearity("sign").covariance(q, 0.5), 1 / 3)  # (2/π) asin ½
    assert_allclose(nonlinearity("relu").covariance(2.0, 0.5), 2 * (0.75**0.5 / np.pi + 1 / 3) / 2, rtol=1e-12)
    three = nonlinearity("maxout", pieces=3)
    assert_allclose(three.mean(1.0), 1.5 / np.sqrt(np.pi), rtol=1e-12)  # the largest of three: 3/(2√π)
    assert_allclose(three.second_moment(1.0), 1 + 3**0.5 / (2 * np.pi), rtol=1e-12)
    randomized = nonlinearity("randomized_leaky_relu", lower=0.0, upper=1.0)
    assert_allclose(randomized.second_moment(1.0), (1 + 1 / 3) / 2)  # control: the mean slope alone gives (1 + ¼)/2
    assert_allclose(nonlinearity("identity").slope_covariance(q, 0.2), 1.0)


def test_small_variances_keep_their_digits():  # elu ~ x + x²/2 near 0: the closed form's terms cancel to 1e-12
    q = np.array([1e-12, 1e-8])
    assert_allclose(nonlinearity("elu").second_moment(q), q - 2 * np.sqrt(2 / np.pi) * q**1.5 / 2, rtol=1e-7)
    assert_allclose(nonlinearity("elu").mean(q), q / 4, rtol=1e-3)
    assert_allclose(nonlinearity("tanh").second_moment(q), q - 2 * q**2, rtol=1e-14)


def test_vectorized():
    f = nonlinearity("tanh")
    q = np.linspace(0.1, 30, 12).reshape(3, 4)
    assert_allclose(f.second_moment(q), np.vectorize(f.second_moment)(q), rtol=1e-13)
    assert f.covariance(q, np.zeros((5, 1, 1))).shape == (5, 3, 4)
    assert_allclose(expectation(np.exp, [0.0, 1.0, 4.0]), np.exp([0.0, 0.5, 2.0]), rtol=1e-13)


def test_what_is_wrong_is_said():
    with pytest.raises(ValueError, match="Did you mean 'tanh'"):
        nonlinearity("tahn")
    with pytest.raises(ValueError, match=r"relu has no parameter 'slope'\. It has none"):
        nonlinearity("relu", slope=0.1)
    with pytest.raises(ValueError, match="must be finite and not negative, but q=-1"):
        nonlinearity("tanh").mean(-1)
    with pytest.raises(ValueError, match=r"lies in \[−1, 1\], but c=1.5"):
        nonlinearity("tanh").covariance(1.0, 1.5)
    with pytest.raises(ValueError, match="low=1 must be below high=0"):
        nonlinearity("hard_tanh", low=1, high=0)
    with pytest.raises(ValueError, match="beta=0 must be above 0"):
        nonlinearity("softplus", beta=0)
    with pytest.raises(ValueError, match="for 2 pieces, not for 3"):
        nonlinearity("maxout", pieces=3).covariance(1.0, 0.5)


def test_theory_does_not_load_torch():
    code = (
        "import sys; from trainwell.theory import *; import trainwell.theory as t; [getattr(t, n) for n in t.__all__];"
        "print('torch' in sys.modules, 'scipy.special' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]  # the second shows that the probe sees what is loaded
