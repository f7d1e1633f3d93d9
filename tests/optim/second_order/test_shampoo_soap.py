"""Shampoo and SOAP: against matrix powers and rotations written out, blocks, grafting, state."""

import copy
import io

import numpy as np
import pytest
import torch
from scipy.linalg import fractional_matrix_power
from torch import nn
from torch.testing import assert_close

from trainwell.optim import SOAP, NonFiniteStep, Shampoo
from trainwell.optim.second_order.shampoo_method import matrix_power
from trainwell.optim.second_order.soap_method import next_basis

F64 = torch.float64


def gradients(steps, *shape, seed=0):
    return torch.randn(steps, *shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def descend(kind, g, start=None, **options):
    p = nn.Parameter(torch.zeros(g.shape[1:], dtype=g.dtype) if start is None else start.clone())
    optimizer, iterates = kind([p], **options), []
    for row in g:
        p.grad = row.clone()
        optimizer.step()
        iterates.append(p.detach().clone())
    return optimizer, p, torch.stack(iterates)


GUPTA = {"accumulate": "sum", "graft": "none", "betas": (0.0, 0.9), "every": 1, "eps": 1e-2}


def test_gupta_s_rule_by_scipy_s_matrix_powers():
    g = gradients(6, 3, 4)
    _, _, found = descend(Shampoo, g, lr=0.1, **GUPTA)
    left, right, x = 1e-2 * np.eye(3), 1e-2 * np.eye(4), np.zeros((3, 4))
    for row, iterate in zip(g.numpy(), found.numpy(), strict=True):
        left, right = left + row @ row.T, right + row.T @ row
        x = x - 0.1 * fractional_matrix_power(left, -0.25) @ row @ fractional_matrix_power(right, -0.25)
        np.testing.assert_allclose(iterate, x, rtol=1e-10, atol=1e-12)


def test_averages_momentum_and_grafting_by_hand():
    g, (b1, b2), lr = gradients(4, 3, 2), (0.8, 0.9), 0.05
    _, _, found = descend(Shampoo, g, lr=lr, betas=(b1, b2), every=1, eps=1e-4, weight_decay=0.1)
    left, right, m, v, x = np.zeros((3, 3)), np.zeros((2, 2)), 0, 0, np.zeros((3, 2))
    for t, (row, iterate) in enumerate(zip(g.numpy(), found.numpy(), strict=True), 1):
        left, right = b2 * left + (1 - b2) * row @ row.T, b2 * right + (1 - b2) * row.T @ row
        m, v = b1 * m + (1 - b1) * row, b2 * v + (1 - b2) * row**2
        sides = [f / (1 - b2**t) for f in (left, right)]
        sides = [f + 1e-4 * np.linalg.eigvalsh(f)[-1] * np.eye(len(f)) for f in sides]
        mean = m / (1 - b1**t)
        step = fractional_matrix_power(sides[0], -0.25) @ mean @ fractional_matrix_power(sides[1], -0.25)
        adam = mean / (np.sqrt(v / (1 - b2**t)) + 1e-8)
        x = (1 - lr * 0.1) * x - lr * step * np.linalg.norm(adam) / np.linalg.norm(step)
        np.testing.assert_allclose(iterate, x, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("graft", ["adam", "sgd"])
def test_grafting_takes_the_length_alone(graft):
    g = gradients(1, 5, 4)
    _, plain, _ = descend(Shampoo, g, lr=1.0, graft="none")
    _, grafted, _ = descend(Shampoo, g, lr=1.0, graft=graft)
    assert_close(grafted / grafted.norm(), plain / plain.norm())
    assert grafted.norm().item() == pytest.approx(20**0.5 if graft == "adam" else float(g.norm()), rel=1e-6)


def test_first_step_of_shampoo_is_orthogonal():  # (ggᵀ)^(−¼) g (gᵀg)^(−¼) = U Vᵀ
    g = gradients(1, 4, 4)
    _, p, _ = descend(Shampoo, g, lr=1.0, **{**GUPTA, "eps": 0.0})
    assert_close(p @ p.T, torch.eye(4, dtype=F64), rtol=1e-9, atol=1e-9)


def test_blocks_are_matrices_of_their_own():
    g = gradients(5, 6, 4)
    _, whole, _ = descend(Shampoo, g, lr=0.1, largest=3, **GUPTA)
    for rows in (slice(0, 3), slice(3, 6)):
        for columns in (slice(0, 3), slice(3, 4)):
            if columns == slice(3, 4):
                continue  # alone, a column is a vector, and Adagrad's
            _, part, _ = descend(Shampoo, g[:, rows, columns], lr=0.1, **GUPTA)
            assert_close(whole[rows, columns], part, rtol=1e-12, atol=1e-12)


def test_one_side_takes_the_whole_root():
    g = gradients(3, 6, 2)
    optimizer, p, _ = descend(Shampoo, g, lr=0.1, largest=3, cut=False, **GUPTA)
    assert set(optimizer.state[p]) == {"step", "mean", "R0", "R0_root"}
    right, x = 1e-2 * np.eye(2), np.zeros((6, 2))
    for row in g.numpy():
        right = right + row.T @ row
        x = x - 0.1 * row @ fractional_matrix_power(right, -0.5)
    np.testing.assert_allclose(p.detach().numpy(), x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("kind", "options"), [(Shampoo, GUPTA), (SOAP, {})])
def test_kernels_are_folded(kind, options):
    g = gradients(12, 4, 3, 2, 2)
    _, kernel, _ = descend(kind, g, lr=0.1, **options)
    _, matrix, _ = descend(kind, g.flatten(2), lr=0.1, **options)
    assert torch.equal(kernel.flatten(1), matrix)


def test_vectors_are_adagrad_s_and_adam_s():
    g = gradients(5, 7)
    for kind, options, torch_s in (
        (SOAP, {"betas": (0.9, 0.99)}, torch.optim.Adam),
        (Shampoo, {"betas": (0.9, 0.99)}, torch.optim.Adam),
    ):
        _, found, _ = descend(kind, g, lr=0.1, **options)
        _, expected, _ = descend(torch_s, g, lr=0.1, betas=(0.9, 0.99))
        assert_close(found, expected, rtol=1e-12, atol=1e-12)
    _, found, _ = descend(Shampoo, g, lr=0.1, **GUPTA)
    assert_close(found.detach(), -0.1 * (g / (1e-2 + g.square().cumsum(0)).sqrt()).sum(0), rtol=1e-12, atol=1e-12)


def test_singular_factors_have_finite_roots():
    assert bool(torch.isfinite(matrix_power(torch.zeros(3, 3), -0.25, 1e-6)).all())
    ones, eye = torch.ones(2, 2, dtype=F64), torch.eye(2, dtype=F64)
    assert_close(torch.linalg.matrix_power(matrix_power(ones, -0.25, 1e-6), 4) @ (ones + 2e-6 * eye), eye)


def test_soap_is_adam_in_the_basis_written_out():
    g, (b1, b2), lr = gradients(25, 3, 4), (0.9, 0.8), 0.01
    _, _, found = descend(SOAP, g, lr=lr, betas=(b1, b2), every=5, eps=1e-8)
    left, right, m, x = 0, 0, 0, torch.zeros(3, 4, dtype=F64)
    bases, v = [torch.eye(3, dtype=F64), torch.eye(4, dtype=F64)], 0
    for t, (row, iterate) in enumerate(zip(g, found, strict=True), 1):
        m = b1 * m + (1 - b1) * row
        v = b2 * v + (1 - b2) * (bases[0].T @ row @ bases[1]) ** 2
        inside = bases[0].T @ (m / (1 - b1**t)) @ bases[1] / ((v / (1 - b2**t)).sqrt() + 1e-8)
        x = x - lr * bases[0] @ inside @ bases[1].T
        assert_close(iterate, x, rtol=1e-9, atol=1e-9)
        left, right = b2 * left + (1 - b2) * row @ row.T, b2 * right + (1 - b2) * row.T @ row
        if t == 1:
            bases = [torch.linalg.eigh(f).eigenvectors.flip(1) for f in (left, right)]
            v = (1 - b2) * (bases[0].T @ row @ bases[1]) ** 2
        elif t % 5 == 0:
            for side, factor in enumerate((left, right)):
                order = (bases[side].T @ factor @ bases[side]).diagonal().argsort(descending=True)
                bases[side] = torch.linalg.qr(factor @ bases[side][:, order]).Q
                v = v.index_select(side, order)


def test_power_iterations_find_the_eigenvectors():
    factor = torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=F64))
    basis = torch.linalg.qr(gradients(1, 3, 3)[0]).Q
    for _ in range(60):
        basis, _ = next_basis(factor, basis)
    assert_close(basis.abs(), torch.eye(3, dtype=F64).flip(0), rtol=0, atol=1e-9)


def test_soap_without_a_basis_is_adam():  # control
    g = gradients(8, 6, 5)
    _, found, _ = descend(SOAP, g, lr=0.1, betas=(0.9, 0.99), largest=1)
    _, expected, _ = descend(torch.optim.Adam, g, lr=0.1, betas=(0.9, 0.99))
    assert_close(found, expected, rtol=1e-12, atol=1e-12)


def steps_to(kind, rotated, lr, **options):
    """Steps to 1e-4 of the start on ½ Σ c_ij x_ij², whose axes lie along the entries or are rotated on both sides."""
    c = torch.logspace(0, 3, 36, dtype=F64).view(6, 6)
    q = [torch.linalg.qr(gradients(1, 6, 6, seed=s)[0]).Q if rotated else torch.eye(6, dtype=F64) for s in (1, 2)]
    p = nn.Parameter(q[0] @ torch.ones(6, 6, dtype=F64) @ q[1].T)
    optimizer = kind([p], lr=lr, **options)
    for step in range(600):
        inside = q[0].T @ p.detach() @ q[1]
        if float((c * inside**2).sum()) < 1e-4 * float(c.sum()):
            return step
        p.grad = q[0] @ (c * inside) @ q[1].T
        optimizer.step()
    return 600


def test_a_rotation_costs_adam_steps_but_not_soap():
    rates = (0.01, 0.03, 0.1)
    best = {r: min(steps_to(torch.optim.Adam, r, lr, betas=(0.9, 0.95)) for lr in rates) for r in (False, True)}
    soap = min(steps_to(SOAP, True, lr, betas=(0.9, 0.95), every=1) for lr in rates)
    assert best[True] > 1.5 * best[False]  # control: the cause is there
    assert soap < best[True]


@pytest.mark.parametrize("kind", [Shampoo, SOAP])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_resumed_bit_for_bit(kind, dtype):
    g = gradients(15, 6, 4).to(dtype)
    _, straight, _ = descend(kind, g, lr=0.01, every=4)
    optimizer, half, _ = descend(kind, g[:7], lr=0.01, every=4)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    p = nn.Parameter(half.detach().clone())
    again = kind([p], lr=0.5, every=4)
    again.load_state_dict(torch.load(file, weights_only=True))
    for row in g[7:]:
        p.grad = row.clone()
        again.step()
    assert torch.equal(p, straight)
    assert p.dtype == dtype and again.state[p]["mean"].dtype == torch.float32


@pytest.mark.parametrize("kind", [Shampoo, SOAP])
def test_memory_is_what_the_table_says(kind):
    from trainwell.optim import METHODS

    optimizer, p, _ = descend(kind, gradients(3, 16, 16))
    numbers = sum(v.numel() for v in optimizer.state[p].values() if isinstance(v, torch.Tensor))
    assert numbers / p.numel() == METHODS[kind.__name__.lower()].memory


@pytest.mark.parametrize("kind", [Shampoo, SOAP])
def test_errors_leave_the_parameters(kind):
    p = nn.Parameter(torch.ones(3, 3))
    optimizer = kind([p])
    p.grad = torch.full_like(p, float("nan"))
    with pytest.raises(NonFiniteStep, match="not finite"):
        optimizer.step()
    assert torch.equal(p, torch.ones(3, 3))
    p.grad = torch.eye(3).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    with pytest.raises(ValueError, match="must be"):
        kind([p], every=0)
    with pytest.raises(ValueError, match="complex"):
        kind([nn.Parameter(torch.ones(2, dtype=torch.complex64))])
    assert copy.deepcopy(optimizer).state_dict().keys() == optimizer.state_dict().keys()
