"""Lanczos against numpy.linalg.eigvalsh on matrices of known spectrum."""

import numpy as np
import pytest
import torch
from known_spectra import SPECTRA, with_spectrum
from torch.testing import assert_close

from trainwell.curvature import Diagonal, Hessian, eigenpairs
from trainwell.curvature.krylov import Krylov
from trainwell.errors import InputError, JobError


@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("which", ["largest", "smallest", "magnitude"])
@pytest.mark.parametrize("k", [1, 6])
def test_both_ends_of_known_spectra(name, which, k):
    operator = with_spectrum(SPECTRA[name])
    exact = np.linalg.eigvalsh(operator.matrix.numpy())
    key = {"largest": exact, "smallest": -exact, "magnitude": np.abs(exact)}[which]
    expected = exact[np.argsort(-key, kind="stable")][:k]
    found = eigenpairs(operator, k, which, tolerance=1e-9)
    size = np.abs(exact).max()
    order = np.abs if which == "magnitude" else np.array  # +λ and −λ tie
    np.testing.assert_allclose(order(found.values), order(expected), atol=1e-8 * size + 1e-12)
    assert found.converged and found.vectors.shape == (len(exact), k)
    residuals = (operator @ found.vectors - found.vectors * torch.from_numpy(found.values)).norm(dim=0)
    assert residuals.max() <= 2e-9 * size + 1e-12
    assert_close(found.vectors.T @ found.vectors, torch.eye(k, dtype=torch.float64), rtol=0, atol=1e-7)


def test_degenerate_eigenvalues_over_twenty_seeds():
    for seed in range(20):
        found = eigenpairs(with_spectrum(SPECTRA["degenerate"], seed), 5, generator=torch.Generator().manual_seed(seed))
        np.testing.assert_allclose(found.values, [7, 7, 7, 5, 5], atol=1e-6)


def test_a_second_copy_that_the_start_hardly_contains_is_found_at_a_loose_tolerance():
    entries = torch.ones(300_000, dtype=torch.float64)
    entries[:2] = 100  # the share of a random vector along one of them is 1/300 000
    np.testing.assert_allclose(eigenpairs(Diagonal(entries), 2, tolerance=0.5).values, [100, 100], rtol=1e-6)


def test_scipy_gives_the_same():
    operator = with_spectrum(SPECTRA["bulk and outliers"])
    ours, theirs = (eigenpairs(operator, 4, solver=s, tolerance=1e-8) for s in ("trainwell", "scipy"))
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-8)
    np.testing.assert_allclose((ours.vectors.T @ theirs.vectors).abs().diagonal(), 1, rtol=1e-6)
    assert theirs.steps > 4


def test_basis_stays_orthonormal_where_the_plain_recurrence_loses_it():
    matrix = with_spectrum(np.r_[np.linspace(0, 1, 119), 1e3]).matrix
    start = torch.randn(120, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    krylov = Krylov(lambda v: matrix @ v, start)
    for _ in range(60):
        krylov.step()
    basis = torch.cat(krylov._blocks)[:60]
    assert_close(basis @ basis.T, torch.eye(60, dtype=torch.float64), rtol=0, atol=1e-13)
    plain, before, beta = [start / start.norm()], torch.zeros(120, dtype=torch.float64), 0.0
    for _ in range(59):  # control: three terms only
        w = matrix @ plain[-1] - beta * before
        w -= (w @ plain[-1]) * plain[-1]
        before, beta = plain[-1], w.norm()
        plain.append(w / beta)
    q = torch.stack(plain)
    assert (q @ q.T - torch.eye(60, dtype=torch.float64)).abs().max() > 0.1


@pytest.mark.parametrize("dtype, tolerance", [(torch.float32, 1e-5), (torch.bfloat16, 0.05)])
def test_low_precision_operators(dtype, tolerance):
    operator = with_spectrum(SPECTRA["bulk and outliers"], dtype=dtype)
    np.testing.assert_allclose(eigenpairs(operator).values, [50], rtol=tolerance)


def test_too_few_steps_warn_and_the_residual_bounds_the_error():
    operator = with_spectrum(np.linspace(0, 1, 200))
    with pytest.warns(RuntimeWarning, match="5 steps left residuals up to"):
        found = eigenpairs(operator, max_steps=5)
    assert not found.converged and found.steps == 5
    assert np.abs(np.linspace(0, 1, 200) - found.values[0]).min() <= found.residuals[0]


def test_non_finite_products_and_wrong_requests():
    with pytest.raises(JobError, match="step 1 is not finite"):
        eigenpairs(Diagonal(torch.tensor([1.0, float("nan")])))
    with pytest.raises(InputError, match="k=3 of an operator of size 2"):
        eigenpairs(Diagonal(torch.ones(2)), 3)
    with pytest.raises(InputError, match="which='biggest'"):
        eigenpairs(Diagonal(torch.ones(2)), which="biggest")


def test_random_state_is_left_alone_and_equal_seeds_agree():
    state, operator = torch.get_rng_state(), with_spectrum(SPECTRA["separate"])
    first, second = eigenpairs(operator, 2), eigenpairs(operator, 2)
    assert torch.equal(first.vectors, second.vectors) and torch.equal(torch.get_rng_state(), state)


def test_indefinite_hessian_at_a_saddle():
    saddle = Hessian.of_function(lambda x: x[0] ** 2 - 3 * x[1] ** 2, torch.zeros(2, dtype=torch.float64))
    assert eigenpairs(saddle, which="smallest").values == pytest.approx([-6])
    assert eigenpairs(saddle, which="magnitude").values == pytest.approx([-6])
