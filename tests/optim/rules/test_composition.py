"""SCGD on ‖E[A] x − b‖², against the biased point that plain SGD finds."""

import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim.rules.composition import SCGD

NOISE = 0.7
A = torch.tensor([[2.0, 0.3], [0.1, 1.0], [0.5, -0.4]], dtype=torch.float64)
B = torch.tensor([1.0, 2.0, -1.0], dtype=torch.float64)
BEST = torch.linalg.lstsq(A, B).solution
BIASED = torch.linalg.solve(A.T @ A + 3 * NOISE**2 * torch.eye(2, dtype=torch.float64), A.T @ B)
"""Minimum of E‖(A + noise) x − b‖² = ‖Ax − b‖² + 3 s² ‖x‖²."""


def run(beta_power, seed=0, steps=4000):
    generator = torch.Generator().manual_seed(seed)
    x = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer, mean = SCGD([x], lr=0.1, beta=1.0), torch.zeros(2, dtype=torch.float64)
    for k in range(1, steps + 1):
        optimizer.param_groups[0].update(lr=0.15 * k**-0.75, beta=k**-beta_power)
        noise = NOISE * torch.randn(3, 2, dtype=torch.float64, generator=generator)
        optimizer.step(lambda noise=noise: (A + noise) @ x - B, lambda y: y.square().sum())
        mean += x.detach() / (steps // 2) if k > steps // 2 else 0
    return mean


def test_finds_the_minimum_of_the_composition():
    assert (run(0.5) - BEST).norm() < 0.25 * (BIASED - BEST).norm()


def test_plain_stochastic_gradients_find_another_point():  # control: β = 1
    found = run(0.0)
    assert (found - BIASED).norm() < 0.25 * (BIASED - BEST).norm()


def test_without_noise_it_is_gradient_descent():
    x = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    optimizer, expected = SCGD([x], lr=0.05, beta=1.0), torch.zeros(2, dtype=torch.float64)
    for _ in range(20):
        loss = optimizer.step(lambda: A @ x - B, lambda y: y.square().sum())
        assert_close(loss, (A @ expected - B).square().sum())
        expected = expected - 0.05 * 2 * A.T @ (A @ expected - B)
    assert_close(x.detach(), expected, rtol=1e-12, atol=1e-12)
