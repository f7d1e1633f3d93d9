"""SAM: closed form on a quadratic, its restoring of weights, and what it is for."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS, Closure

sam = METHODS["sam"]
SCALES = torch.tensor([1.0, 4.0, 0.5], dtype=torch.float64)


def quadratic(x):
    return Closure([x], lambda: ((SCALES * x.square()).sum() / 2, lambda total: total))


def test_follows_its_formula_on_a_quadratic():  # g̃ = H (x + ρ g/‖g‖)
    x = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    optimizer, y, b = sam([{"params": [x]}], 0.05, rho=0.1, momentum=0.5, weight_decay=0.2), x.detach().clone(), 0
    for _ in range(20):
        loss = optimizer.step(quadratic(x))
        assert_close(loss, (SCALES * y.square()).sum() / 2, rtol=1e-10, atol=0)  # at x, not at x + e
        g = SCALES * y
        b = 0.5 * b + SCALES * (y + 0.1 * g / g.norm()) + 0.2 * y
        y = y - 0.05 * b
    assert_close(x.detach(), y, rtol=1e-10, atol=1e-12)


def test_adaptive_climb_does_not_depend_on_the_scale_of_coordinates():  # f(D x), T = |x|: T g is the same
    def climb(scale, adaptive):
        x = nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64) / scale)
        seen = []

        def forward():
            z = x * scale
            seen.append(z.detach().clone())
            return (z - torch.tensor([3.0, 1.0])).square().sum(), lambda total: total

        sam([{"params": [x]}], 0.0, rho=0.1, adaptive=adaptive).step(Closure([x], forward))
        return seen[1] - seen[0]

    one, scaled = torch.ones(2, dtype=torch.float64), torch.tensor([10.0, 0.1], dtype=torch.float64)
    assert_close(climb(one, True), climb(scaled, True), rtol=1e-9, atol=0)
    assert (climb(one, False) - climb(scaled, False)).abs().max() > 0.1  # control


def test_weights_are_put_back_bit_for_bit_where_the_second_pass_fails():
    x = nn.Parameter(torch.randn(5, generator=torch.Generator().manual_seed(0)))
    before, calls = x.detach().clone(), []

    def closure():
        calls.append(x.detach().clone())
        if len(calls) == 2:
            raise FloatingPointError("the loss is nan")
        x.grad = torch.ones_like(x)
        return torch.tensor(1.0)

    with pytest.raises(FloatingPointError):
        sam([{"params": [x]}], 0.1).step(closure)
    assert torch.equal(x, before) and not torch.equal(calls[1], before)


def test_drifts_along_a_valley_to_where_it_is_flat():  # ½(xy − 1)²: minima xy = 1, largest curvature x² + y² ≥ 2
    def end(rho):
        w = nn.Parameter(torch.tensor([4.0, 0.3], dtype=torch.float64))
        valley = Closure([w], lambda: ((w[0] * w[1] - 1).square() / 2, lambda total: total))
        optimizer = sam([{"params": [w]}], 0.05, momentum=0.0, rho=rho)
        for _ in range(2000):
            optimizer.step(valley)
        return w.detach().square().sum().item()

    assert end(0.2) < 2.5
    assert end(0.0) > 15  # control: plain descent stays where it arrives
