"""Eigenvalues of factors far from full rank, tiny ones and those that LAPACK gives up on."""

import pytest
import torch
from torch.testing import assert_close

from trainwell.optim.second_order import symmetric_eigen as module
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen


def factor(n, rank, scale, dtype=torch.float32):
    g = torch.randn(rank, n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    g[:, ::3] = 0  # inputs that are always zero
    return (scale * g.T @ g).to(dtype)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e25])
def test_the_matrix_is_put_together_again(scale):
    matrix = factor(40, 6, scale)
    values, vectors = symmetric_eigen(matrix)
    assert values.dtype == torch.float32 and bool((values >= 0).all()) and bool((values.diff() >= 0).all())
    assert_close(vectors * values @ vectors.T / scale, matrix / scale, rtol=1e-4, atol=1e-4)
    assert_close(vectors.T @ vectors, torch.eye(40), rtol=0, atol=1e-5)


def test_a_stack_of_matrices():
    stack = torch.stack([factor(10, 3, 1.0), factor(10, 9, 5.0)])
    values, vectors = symmetric_eigen(stack)
    assert_close((vectors * values.unsqueeze(1)) @ vectors.mT, stack, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("failures", [1, 2])
def test_what_does_not_converge_is_done_another_way(monkeypatch, failures):
    eigh, calls = torch.linalg.eigh, []

    def failing(matrix):
        calls.append(matrix.dtype)
        if len(calls) <= failures:
            raise torch.linalg.LinAlgError("linalg.eigh: The algorithm failed to converge")
        return eigh(matrix)

    matrix = factor(20, 8, 1.0)
    expected = eigh(matrix.double()).eigenvalues.clamp_min(0).float()
    monkeypatch.setattr(module.torch.linalg, "eigh", failing)
    values, vectors = symmetric_eigen(matrix)
    assert calls == [torch.float32, torch.float64]
    assert_close(values, expected, rtol=1e-5, atol=1e-5)
    assert_close(vectors * values @ vectors.T, matrix, rtol=1e-4, atol=1e-4)


def test_zero_gives_zero():
    values, vectors = symmetric_eigen(torch.zeros(4, 4))
    assert not values.any() and torch.allclose(vectors.T @ vectors, torch.eye(4), atol=1e-6)
