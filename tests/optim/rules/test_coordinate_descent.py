"""Coordinate descent: Gauss–Seidel, exact steps, orders and blocks."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS, Closure, solve_by_coordinates
from trainwell.optim.rules.coordinates import CoordinateDescent

N = 6
ROOT = torch.randn(N, N, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
A = ROOT @ ROOT.T + torch.eye(N, dtype=torch.float64)
B = torch.arange(1.0, N + 1, dtype=torch.float64)
BEST = torch.linalg.solve(A, B)


def energy(x):
    return x @ A @ x / 2 - B @ x


def closure(x):
    return Closure([x], lambda: (energy(x), lambda total: total))


def test_a_cyclic_sweep_is_gauss_seidel():  # (D + L) x⁺ = b − U x
    x = torch.ones(N, dtype=torch.float64)
    expected = torch.linalg.solve(A.tril(), B - A.triu(1) @ x)
    assert_close(solve_by_coordinates(A, B, x, steps=N), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("order", ["cyclic", "random", "greedy"])
def test_every_order_finds_the_solution(order):
    assert_close(solve_by_coordinates(A, B, order=order, steps=4000), BEST, rtol=1e-8, atol=1e-8)


def test_greedy_falls_furthest_in_one_step():
    falls = [float((B[i] ** 2) / A[i, i] / 2) for i in range(N)]  # from 0: r = b
    assert float(-energy(solve_by_coordinates(A, B, order="greedy", steps=1))) == pytest.approx(max(falls), rel=1e-12)


@pytest.mark.parametrize("order", ["cyclic", "random"])
def test_exact_steps_of_the_optimizer_are_those_of_the_quadratic(order):
    x = nn.Parameter(torch.zeros(N, dtype=torch.float64))
    optimizer = CoordinateDescent([x], order=order, block="coordinate", exact=True)
    previous = energy(x.detach())
    for step in range(2 * N):
        loss = optimizer.step(closure(x))
        assert_close(loss, previous, rtol=1e-12, atol=1e-12)
        assert energy(x.detach()) <= previous + 1e-12
        previous = energy(x.detach())
        if order == "cyclic":
            assert_close(x.detach(), solve_by_coordinates(A, B, steps=step + 1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("block", ["tensor", "group"])
def test_one_block_moves_a_step(block):
    def moved(order, steps=4):
        params = [nn.Parameter(torch.full((2,), value, dtype=torch.float64)) for value in (1.0, 3.0, 2.0)]
        groups = [{"params": params[:1]}, {"params": params[1:]}] if block == "group" else params
        optimizer, trace = CoordinateDescent(groups, 0.1, order=order, block=block), []
        for _ in range(steps):
            before = [p.detach().clone() for p in params]
            for p in params:
                p.grad = p.detach().clone()
            optimizer.step()
            trace.append([not torch.equal(p, q) for p, q in zip(params, before, strict=True)])
        return trace

    if block == "tensor":
        assert moved("cyclic") == [[i == k % 3 for i in range(3)] for k in range(4)]
        assert moved("greedy") == [[False, True, False]] * 4  # 3.0, 2.7, 2.43, 2.19: always the largest gradient
        assert all(sum(row) == 1 for row in moved("random", 20))
    else:
        assert moved("cyclic") == [[True, False, False], [False, True, True]] * 2
        assert moved("greedy") == [[False, True, True]] * 4


def test_exact_step_of_a_tensor_minimizes_along_its_gradient():
    x = nn.Parameter(torch.ones(N, dtype=torch.float64))
    optimizer = CoordinateDescent([x], exact=True)
    g = A @ x.detach() - B
    optimizer.step(closure(x))
    assert_close(x.detach(), 1 - (g @ g) / (g @ A @ g) * g, rtol=1e-12, atol=1e-12)


def test_without_curvature_the_rate_is_taken():
    x = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
    concave = Closure([x], lambda: (-x.square().sum() / 2, lambda total: total))
    CoordinateDescent([x], 0.1, exact=True).step(concave)
    assert_close(x.detach(), torch.tensor([1.1, 2.2], dtype=torch.float64))
    linear = Closure([x], lambda: (x.sum(), lambda total: total))
    CoordinateDescent([x], 0.1, exact=True).step(linear)
    assert_close(x.detach(), torch.tensor([1.0, 2.1], dtype=torch.float64))


def test_blocks_train_a_network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1)).double()
    x = torch.randn(32, 4, dtype=torch.float64)
    fit = Closure.of(model, nn.MSELoss(), x, x[:, :1] * x[:, 1:2])
    optimizer, start = METHODS["coordinate_descent_exact"](model), fit.loss().item()
    for _ in range(200):
        optimizer.step(fit)
    assert fit.loss().item() < 0.5 * start


def test_unknown_orders_and_blocks_and_flat_diagonals_are_refused():
    x = nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match="order='up'"):
        CoordinateDescent([x], order="up")
    with pytest.raises(ValueError, match="block='row'"):
        CoordinateDescent([x], block="row")
    with pytest.raises(ValueError, match="diagonal entry of A is 0"):
        solve_by_coordinates(torch.zeros(2, 2), torch.zeros(2))
    with pytest.raises(RuntimeError, match="graph"):
        CoordinateDescent([x], exact=True).step(lambda: None)
