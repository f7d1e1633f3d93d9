"""Gauss–Newton and Levenberg–Marquardt: linear problems in one step, the border of the region, and deck M's cubic."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch
from torch.testing import assert_close

from trainwell.optim import minimize
from trainwell.optim.deterministic.least_squares import _on_border


def linear(m=30, n=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    matrix = torch.randn(m, n, generator=generator, dtype=torch.float64)
    target = torch.randn(m, generator=generator, dtype=torch.float64)
    return matrix, target, torch.linalg.lstsq(matrix, target[:, None]).solution[:, 0]


@pytest.mark.parametrize("method", ["gauss_newton", "lm"])
def test_linear_residuals_take_one_step(method):
    matrix, target, solution = linear()
    more = {"factor": 1e6} if method == "lm" else {}  # a region that holds Newton's point
    found = minimize(lambda x: matrix @ x - target, torch.ones(6, dtype=torch.float64), method, tol=1e-9, **more)
    assert found.converged and found.iterations == 1
    assert_close(found.x, solution, rtol=1e-10, atol=1e-10)
    assert found.fun == pytest.approx(0.5 * float((matrix @ solution - target).square().sum()), rel=1e-12)


def test_without_full_rank_gauss_newton_takes_the_shortest_step():
    matrix, target, _ = linear()
    matrix[:, 5] = matrix[:, 0]
    found = minimize(lambda x: matrix @ x - target, torch.zeros(6, dtype=torch.float64), "gauss_newton", tol=1e-9)
    shortest = torch.from_numpy(np.linalg.pinv(matrix.numpy()) @ target.numpy())
    assert_close(found.x, shortest, rtol=1e-9, atol=1e-10)


def test_the_cubic_of_deck_m():  # O11: least-squares cubic to sin x
    x = torch.linspace(-math.pi, math.pi, 2000, dtype=torch.float64)
    powers = torch.stack([x**k for k in range(4)], 1)
    found = minimize(lambda c: powers @ c - x.sin(), torch.randn(4, dtype=torch.float64), "lm", tol=1e-8)
    assert_close(found.x, torch.tensor([0.0, 0.856741, 0.0, -0.0933304], dtype=torch.float64), rtol=1e-5, atol=1e-6)
    assert 2 * found.fun == pytest.approx(8.81717, rel=1e-6)


@pytest.mark.parametrize("radius", [1e-6, 0.1, 1.0, 10.0])
def test_the_multiplier_puts_the_step_on_the_border(radius):
    generator = torch.Generator().manual_seed(0)
    s = torch.logspace(3, -3, 8, dtype=torch.float64)
    turned = torch.randn(8, generator=generator, dtype=torch.float64)
    multiplier, step = _on_border(s, turned, radius)
    assert multiplier > 0 and abs(float(step.norm()) - radius) <= 0.1 * radius
    assert_close(step, -s * turned / (s**2 + multiplier))
    exact = scipy.optimize.brentq(lambda v: float((s * turned / (s**2 + v)).norm()) - radius, 0, 1e12, xtol=1e-14)
    near = sorted(float((s * turned / (s**2 + v)).norm()) for v in (exact, multiplier))
    assert near[1] <= 1.1 / 0.9 * near[0]


def test_inside_the_region_there_is_no_damping():  # control
    multiplier, step = _on_border(torch.tensor([2.0, 1.0]), torch.tensor([2.0, 1.0]), 10.0)
    assert multiplier == 0 and step.tolist() == [-1.0, -1.0]


def test_units_of_the_parameters_do_not_matter():  # D: x_j in kilometres or millimetres
    t = torch.linspace(0, 1, 20, dtype=torch.float64)
    unit = torch.tensor([1e4, 1e-3], dtype=torch.float64)

    def residuals(x):
        return x[0] * torch.exp(-x[1] * t) - 3 * torch.exp(-2 * t)

    plain = minimize(residuals, torch.tensor([1.0, 0.5], dtype=torch.float64), "lm", tol=1e-10, trace=True)
    scaled = minimize(lambda y: residuals(y * unit), torch.tensor([1.0, 0.5], dtype=torch.float64) / unit, "lm",
                      tol=1e-10, trace=True)  # fmt: skip
    for a, b in zip(plain.path[:6], scaled.path[:6], strict=True):
        assert_close(a.x, b.x * unit, rtol=1e-6, atol=1e-9)


def test_any_shape_of_residuals_and_parameters():
    target = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    found = minimize(lambda parts: parts[0][:, None] + parts[1] - target,
                     [torch.zeros(2, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)], "lm")  # fmt: skip
    assert found.fun < 1e-12 and found.x[1].shape == (3,)


def test_it_ends_where_rounding_hides_what_is_left():
    found = minimize(lambda x: torch.cat([1e8 * (x - 1), 1e8 * (x + 1)]), torch.tensor([3.0]).double(), "lm", tol=1e-30)
    assert found.converged and "residuals" in found.message and abs(found.x.item()) < 1e-12
