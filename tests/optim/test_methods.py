"""One suite that every optimizer of ``METHODS`` passes, and each one's formula on a parameter of its own."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import METHODS

adamw, sgd = METHODS["adamw"], METHODS["sgd"]

EVERY = pytest.mark.parametrize("make", METHODS.values(), ids=METHODS.keys())


def descend(make, start, gradient, steps, lr, **options):
    """Iterates of one float64 matrix parameter of shape (1, 1)."""
    w = nn.Parameter(torch.tensor([[start]], dtype=torch.float64))
    optimizer, values = make([w], lr=lr, **options), []
    for _ in range(steps):
        w.grad = torch.tensor([[gradient(w.item())]], dtype=torch.float64)
        optimizer.step()
        values.append(w.item())
    return values


def test_adamw_follows_its_formula():
    lr, decay, (b1, b2), eps = 0.1, 0.2, (0.8, 0.9), 1e-8
    w, m, v, expected = 1.5, 0.0, 0.0, []
    for t in range(1, 8):
        g = math.sin(w) + w
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w = w - lr * ((m / (1 - b1**t)) / (math.sqrt(v / (1 - b2**t)) + eps) + decay * w)
        expected.append(w)
    found = descend(adamw, 1.5, lambda w: math.sin(w) + w, 7, lr, weight_decay=decay, betas=(b1, b2), fused=False)
    assert found == pytest.approx(expected, rel=1e-12)


def test_sgd_follows_its_formula():
    lr, decay, mu = 0.1, 0.2, 0.7
    w, b, expected = 1.5, 0.0, []
    for t in range(7):
        g = math.sin(w) + w + decay * w
        b = g if t == 0 else mu * b + g
        w = w - lr * (g + mu * b)
        expected.append(w)
    found = descend(sgd, 1.5, lambda w: math.sin(w) + w, 7, lr, weight_decay=decay, momentum=mu, fused=False)
    assert found == pytest.approx(expected, rel=1e-12)


def test_sgd_without_momentum_is_gradient_descent():  # on w²/2: w ← (1 − lr) w
    found = descend(sgd, 2.0, lambda w: w, 5, 0.25, weight_decay=0.0, momentum=0.0, nesterov=False)
    assert found == pytest.approx([2 * 0.75**t for t in range(1, 6)], rel=1e-12)


@EVERY
def test_finds_the_minimum_of_a_quadratic(make):
    torch.manual_seed(0)
    target = torch.randn(4, 3)
    w = nn.Parameter(torch.zeros(4, 3))
    optimizer = make([w], lr=0.05, weight_decay=0.0)
    for step in range(400):
        optimizer.param_groups[0]["lr"] = 0.05 * (1 - step / 400)
        optimizer.zero_grad()
        (w - target).square().sum().backward()
        optimizer.step()
    assert_close(w.detach(), target, atol=1e-3, rtol=0)


@EVERY
def test_fused_and_loop_agree(make):  # to the last bits of float32: they round in another order
    def train(fused):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, 3))
        optimizer = make(model.parameters(), lr=0.01, fused=fused)
        for _ in range(20):
            optimizer.zero_grad()
            model(torch.randn(16, 6)).square().mean().backward()
            optimizer.step()
        return optimizer, nn.utils.parameters_to_vector(model.parameters()).detach()

    (chosen, fast), (_, slow) = train(None), train(False)
    assert all(group["fused"] for group in chosen.param_groups)
    assert_close(fast, slow, rtol=1e-5, atol=1e-6)


@EVERY
def test_state_goes_round_through_its_dict(make):
    def step(optimizer, w, times):
        for _ in range(times):
            w.grad = w.detach().sin()
            optimizer.step()

    straight = nn.Parameter(torch.linspace(-1, 1, 6).reshape(2, 3))
    first = make([straight], lr=0.1)
    step(first, straight, 3)
    again = nn.Parameter(straight.detach().clone())
    second = make([again], lr=0.7)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(first, straight, 3)
    step(second, again, 3)
    assert torch.equal(straight, again)


@EVERY
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_takes_any_float_type(make, dtype):
    w = nn.Parameter(torch.ones(2, 2, dtype=dtype))
    optimizer = make([w], lr=0.1)
    w.grad = torch.ones_like(w)
    optimizer.step()
    assert w.dtype == dtype and bool((w < 1).all())
