"""Perturbed gradient descent at a strict saddle, and the counters of its noise."""

import pytest
import torch
from torch import nn

from trainwell.optim import METHODS


def run(name, steps=600, **options):
    """½x² − ½y² + ¼y⁴ from the saddle's stable set y = 0: minima at (0, ±1), value −¼."""
    w = nn.Parameter(torch.tensor([1.0, 0.0], dtype=torch.float64))
    optimizer = METHODS[name]([{"params": [w]}], 0.1, **options)
    for _ in range(steps):
        x, y = w.detach()
        w.grad = torch.stack([x, y**3 - y])
        optimizer.step()
    return w.detach(), optimizer


@pytest.mark.parametrize("seed", range(10))
def test_leaves_a_strict_saddle(seed):
    w, optimizer = run("perturbed_gd", radius=0.01, seed=seed)
    assert abs(w[1]) == pytest.approx(1.0, abs=0.02)
    assert optimizer.param_groups[0]["kicks"] >= 1


def test_plain_descent_stays_at_the_saddle():  # control
    w, _ = run("gd")
    assert w[1] == 0 and abs(w[0]) < 1e-12


def test_noise_pauses_and_is_uniform_in_the_ball():
    dim, radius = 4, 0.5
    w = nn.Parameter(torch.zeros(dim, dtype=torch.float64))
    optimizer = METHODS["perturbed_gd"]([{"params": [w]}], 0.0, radius=radius, pause=2)
    lengths, moved = [], []
    for _ in range(3000):
        before = w.detach().clone()
        w.grad = torch.zeros_like(w)
        optimizer.step()
        length = (w.detach() - before).norm().item()
        moved.append(length > 0)
        if length:
            lengths.append(length / radius)
    assert moved[:7] == [True, False, False, True, False, False, True]
    assert max(lengths) <= 1 + 1e-9
    # E ‖ξ‖/r = d/(d + 1); variance d/(d + 2) − (d/(d + 1))²
    spread = (dim / (dim + 2) - (dim / (dim + 1)) ** 2) ** 0.5 / len(lengths) ** 0.5
    assert sum(lengths) / len(lengths) == pytest.approx(dim / (dim + 1), abs=4 * spread)


def test_no_noise_where_the_gradient_is_large():
    w = nn.Parameter(torch.zeros(3))
    optimizer = METHODS["perturbed_gd"]([{"params": [w]}], 0.1)
    w.grad = torch.ones(3)
    optimizer.step()
    assert torch.equal(w.detach(), torch.full((3,), -0.1)) and optimizer.param_groups[0]["kicks"] == 0
