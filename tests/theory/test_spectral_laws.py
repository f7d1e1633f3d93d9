"""Semicircle, quarter circle, Marchenko–Pastur (S11): closed values, quadrature, and random matrices."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.integrate import quad

from trainwell.theory import MarchenkoPastur, QuarterCircle, Semicircle


def distance(sample, law):
    """The Kolmogorov–Smirnov distance."""
    ordered, n = np.sort(sample.reshape(-1)), sample.size
    return max(
        np.abs(law.cdf(ordered) - np.arange(n) / n).max(), np.abs(law.cdf(ordered) - np.arange(1, n + 1) / n).max()
    )


@pytest.fixture(scope="module")
def square():
    return np.random.default_rng(0).normal(size=(500, 500)) / 500**0.5


def symmetric(matrix):
    return np.linalg.eigvalsh(np.triu(matrix) + np.triu(matrix, 1).T)


def test_catalan_moments():
    assert [Semicircle().moment(2 * k) for k in range(5)] == [1, 1, 2, 5, 14]
    assert [MarchenkoPastur(1.0).moment(k) for k in range(5)] == [1, 1, 2, 5, 14]
    assert [MarchenkoPastur(0.5).moment(k) for k in (1, 2, 3, 4)] == [1, 1.5, 2.75, 5.625]


@pytest.mark.parametrize("law", [Semicircle(), QuarterCircle(), MarchenkoPastur(0.3), MarchenkoPastur(2.5)])
def test_cdf_is_the_integral_of_the_density(law):
    low, high = (
        law.edges if isinstance(law, MarchenkoPastur) else (0.0 if isinstance(law, QuarterCircle) else -2.0, 2.0)
    )
    zeros = law.zeros if isinstance(law, MarchenkoPastur) else 0.0
    for x in np.linspace(low, high, 7):
        assert law.cdf(x) == pytest.approx(zeros + quad(law.density, low, x)[0], abs=1e-7)
    assert law.cdf(high + 1) == 1 and law.cdf(low - 3) == 0 and law.density(high + 1) == 0


@pytest.mark.parametrize("ratio", [0.5, 1.0, 3.0])
def test_marchenko_pastur_moments_are_those_of_its_density(ratio):
    law = MarchenkoPastur(ratio)
    for k in (1, 2, 3):
        assert quad(lambda x, k=k: x**k * law.density(x), *law.edges)[0] == pytest.approx(law.moment(k), rel=1e-6)


def test_random_matrices_follow(square):
    eigenvalues = symmetric(square)
    assert distance(eigenvalues, Semicircle()) < 0.01
    assert_allclose([np.mean(eigenvalues**k) for k in (2, 4, 6)], [1, 2, 5], rtol=0.03)
    assert distance(np.linalg.svd(square, compute_uv=False), QuarterCircle()) < 0.01
    for rows in (150, 500):
        wide = square[:rows] @ square[:rows].T
        assert distance(np.linalg.eigvalsh(wide), MarchenkoPastur(rows / 500)) < 0.02
    tall = np.linalg.eigvalsh((square[:, :200] * 2.5**0.5) @ (square[:, :200] * 2.5**0.5).T)
    assert distance(np.where(np.abs(tall) < 1e-12, 0, tall)[tall > 1e-12], MarchenkoPastur(2.5)) > 0.5  # zeros left out
    assert np.mean(tall < 1e-12) == pytest.approx(MarchenkoPastur(2.5).zeros)


def test_other_entries_have_other_laws(square):  # controls: no variance; a mean
    cauchy = symmetric(np.random.default_rng(1).standard_cauchy((500, 500)) / 500**0.5)
    assert distance(cauchy, Semicircle()) > 0.3
    assert symmetric(square + 0.5 * 500**-0.5)[-1] > 5 and symmetric(square)[-1] < 2.2


def test_a_ratio_of_zero_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        MarchenkoPastur(0.0)
