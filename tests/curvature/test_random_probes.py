"""Trace, diagonal and spectral density from random probes, against exact matrices."""

import numpy as np
import pytest
import torch
from known_spectra import SPECTRA, Matrix, with_spectrum

from trainwell.curvature import estimate_diagonal, estimate_trace, spectral_measure
from trainwell.errors import InputError

OPERATOR = with_spectrum(SPECTRA["bulk and outliers"])


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("method", ["hutchinson", "hutch++"])
def test_trace_within_four_standard_errors_and_the_error_is_honest(method):
    exact = float(OPERATOR.matrix.trace())
    found = [estimate_trace(OPERATOR, 30, method=method, generator=seeded(s)) for s in range(60)]
    values, errors = np.array([f.value for f in found]), np.array([f.error for f in found])
    assert abs(values.mean() - exact) < 4 * values.std(ddof=1) / 60**0.5
    assert 0.7 < errors.mean() / values.std(ddof=1) < 1.4


def test_hutchinson_variance_is_twice_the_off_diagonal_square_and_falls_as_one_over_samples():
    off = OPERATOR.matrix - OPERATOR.matrix.diagonal().diag()
    one = (2 * off.square().sum()).sqrt()
    for samples in (10, 160):
        values = np.array([estimate_trace(OPERATOR, samples, generator=seeded(s)).value for s in range(150)])
        assert values.std(ddof=1) == pytest.approx(float(one) / samples**0.5, rel=0.25)  # 4 / √(2 · 150) = 0.23


def test_hutchpp_beats_hutchinson_where_few_eigenvalues_dominate_and_not_on_a_flat_spectrum():
    def spread(operator, method):
        return np.std([estimate_trace(operator, 30, method=method, generator=seeded(s)).value for s in range(30)])

    steep = with_spectrum(100.0 * np.arange(1, 101.0) ** -2.0)
    flat = with_spectrum(np.random.default_rng(1).choice([-1.0, 1.0], 100))
    assert spread(steep, "hutch++") < 0.2 * spread(steep, "hutchinson")
    assert spread(flat, "hutch++") > 0.7 * spread(flat, "hutchinson")  # control


def test_diagonal_within_its_errors_and_these_fall_as_one_over_root_samples():
    exact = OPERATOR.matrix.diagonal()
    few, many = (estimate_diagonal(OPERATOR, samples, generator=seeded(0)) for samples in (25, 400))
    z = (many.value - exact) / many.error
    assert z.abs().max() < 5 and 0.8 < z.std() < 1.25  # 153 coordinates
    assert 3 < float(few.error.norm() / many.error.norm()) < 5
    off = (OPERATOR.matrix - exact.diag()).square().sum(1)
    torch.testing.assert_close(many.error, (off / 400).sqrt(), rtol=0.3, atol=0)


def test_hutchpp_of_a_low_rank_matrix_is_exact():
    u = torch.randn(40, 3, dtype=torch.float64, generator=seeded(0))
    found = estimate_trace(Matrix(u @ u.T), 12, method="hutch++")
    assert found.value == pytest.approx(float(u.square().sum()), rel=1e-12) and found.error < 1e-9


def test_moments_of_the_measure_are_those_of_the_spectrum():
    spectrum = np.random.default_rng(2).uniform(-1, 2, 300)
    measure = spectral_measure(with_spectrum(spectrum), steps=20, probes=30)
    for power in (1, 2, 3, 4):
        value, error = measure.moment(power)
        assert abs(value - (spectrum**power).mean()) < 4 * error
    np.testing.assert_allclose(measure.weights.sum(1), 1, rtol=1e-12)
    assert measure.below(0.5) == pytest.approx((spectrum < 0.5).mean(), abs=0.05)


def test_quadrature_is_exact_up_to_twice_the_steps():
    operator = with_spectrum(np.random.default_rng(3).uniform(-1, 2, 40))
    probe = torch.randn(40, dtype=torch.float64, generator=seeded(4))
    probe /= probe.norm()
    measure = spectral_measure(operator, steps=5, probes=1, generator=seeded(4))
    for power in range(1, 10):  # 2 · 5 − 1
        exact = float(probe @ torch.linalg.matrix_power(operator.matrix, power) @ probe)
        assert measure.moment(power)[0] == pytest.approx(exact, rel=1e-10)
    exact = float(probe @ torch.linalg.matrix_power(operator.matrix, 10) @ probe)
    assert measure.moment(10)[0] != pytest.approx(exact, rel=1e-6)  # control: one degree more


def test_density_integrates_to_one_and_is_that_of_the_semicircle():
    n = 400
    a = torch.randn(n, n, dtype=torch.float64, generator=seeded(5))
    operator = Matrix((a + a.T) / (2 * n) ** 0.5)  # Wigner: radius 2
    grid = np.linspace(-4, 4, 401)
    density = spectral_measure(operator, steps=40, probes=20).density(grid, 0.15)
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-6)
    semicircle = np.sqrt(np.clip(4 - grid**2, 0, None)) / (2 * np.pi)
    inside = np.abs(grid) < 1.5
    np.testing.assert_allclose(density[inside], semicircle[inside], atol=0.03)


def test_exhausted_spaces_and_wrong_requests():
    measure = spectral_measure(with_spectrum(np.full(10, 3.0)), steps=8)
    assert measure.moment(2)[0] == pytest.approx(9)
    with pytest.raises(InputError, match="samples=1"):
        estimate_diagonal(OPERATOR, 1)
    with pytest.raises(InputError, match="method='exact'"):
        estimate_trace(OPERATOR, method="exact")
    with pytest.raises(InputError, match="steps=0"):
        spectral_measure(OPERATOR, steps=0)
