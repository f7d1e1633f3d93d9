"""The edge of stability: below it a method converges, above it diverges, on quadratics and on a network."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.curvature import Hessian
from trainwell.errors import InputError
from trainwell.optim.stable_rate import curvature_rate, second_moment_of, stable_product

DOUBLE = torch.float64


def regression(seed=0):
    """A linear least-squares problem with Hessian 2 XᵀX/N of condition number about 100, started off its minimum."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(50, 6, dtype=DOUBLE, generator=generator) * torch.tensor([1, 0.6, 0.5, 0.3, 0.2, 0.1], dtype=DOUBLE)
    net = nn.Linear(6, 1, bias=False, dtype=DOUBLE)
    with torch.no_grad():
        net.weight.copy_(torch.randn(1, 6, dtype=DOUBLE, generator=generator))
    return net, x, torch.zeros(50, 1, dtype=DOUBLE)


def loss_after(net, x, y, optimizer, steps):
    loss_of = nn.MSELoss()
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(net(x), y).backward()
        optimizer.step()
    return loss_of(net(x), y).item()


@pytest.mark.parametrize(
    "method, momentum, options",
    [
        ("sgd", None, {}),
        ("sgd", 0.5, {"momentum": 0.5}),
        ("heavy-ball", None, {"momentum": 0.9}),
        ("nesterov", None, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_on_a_quadratic_one_percent_below_the_rate_converges_and_above_diverges(method, momentum, options):
    net, x, y = regression()
    found = curvature_rate(net, nn.MSELoss(), (x, y), method, momentum=momentum, tolerance=1e-8)
    assert found.sharpness == pytest.approx(float(torch.linalg.eigvalsh(2 * x.T @ x / 50)[-1]), rel=1e-8)
    start = nn.MSELoss()(net(x), y).item()
    after = []
    for factor in (0.99, 1.01):
        trial = copy.deepcopy(net)
        rate = factor * found.rate
        after.append(loss_after(trial, x, y, torch.optim.SGD(trial.parameters(), lr=rate, **options), 1000))
    assert after[0] < 1e-2 * start and after[1] > 1e2 * start


class FrozenAdam(torch.optim.Optimizer):
    """Adam's rule with a second moment that does not move."""

    def __init__(self, params, lr, beta, scale):
        super().__init__(params, {"lr": lr})
        self.beta, self.scale = beta, scale

    def step(self):
        for p in self.param_groups[0]["params"]:
            m = self.state[p].setdefault("m", torch.zeros_like(p))
            m.mul_(self.beta).add_(p.grad, alpha=1 - self.beta)
            p.data -= self.param_groups[0]["lr"] * m / self.scale.view_as(p)


@pytest.mark.parametrize("method, beta", [("adam", 0.9), ("rmsprop", 0.0)])
def test_preconditioned_edge_one_percent_below_and_above(method, beta):
    net, x, y = regression()
    moment = torch.tensor([1.0, 0.5, 2.0, 0.1, 0.3, 0.01], dtype=DOUBLE)
    found = curvature_rate(net, nn.MSELoss(), (x, y), method, second_moment=moment, eps=1e-3, tolerance=1e-8)
    scale = moment.sqrt() + 1e-3
    matrix = 2 * x.T @ x / 50 / scale[:, None]  # not symmetric: P⁻¹H
    assert found.sharpness == pytest.approx(float(torch.linalg.eigvals(matrix).real.max()), rel=1e-8)
    assert found.rate * found.sharpness == pytest.approx(38 if method == "adam" else 2)
    start = nn.MSELoss()(net(x), y).item()
    for factor, fine in ((0.99, True), (1.01, False)):
        trial = copy.deepcopy(net)
        optimizer = FrozenAdam(trial.parameters(), factor * found.rate, beta, scale)
        after = loss_after(trial, x, y, optimizer, 1000)
        assert after < 1e-2 * start if fine else after > 1e2 * start


def trained_network():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 12), nn.Tanh(), nn.Linear(12, 1)).to(DOUBLE)
    x = torch.randn(40, 3, dtype=DOUBLE)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2] * x[:, 2:]
    loss_after(net, x, y, torch.optim.SGD(net.parameters(), lr=0.05), 2000)
    return net, x, y


def distance_growth(net, x, y, rate, steps=60):
    """By how much a step of gradient descent multiplies a small move along the sharpest direction: |1 − η λ|."""
    from trainwell.curvature import eigenpairs

    v = eigenpairs(Hessian(net, nn.MSELoss(), (x, y))).vectors[:, 0]
    moved = copy.deepcopy(net)
    vector = nn.utils.parameters_to_vector(net.parameters()).detach()
    nn.utils.vector_to_parameters(vector + 1e-7 * v, moved.parameters())
    still = copy.deepcopy(net)
    for model in (moved, still):
        loss_after(model, x, y, torch.optim.SGD(model.parameters(), lr=rate), steps)
    ends = [nn.utils.parameters_to_vector(m.parameters()).detach() for m in (moved, still)]
    return float((v @ (ends[0] - ends[1])).abs() / 1e-7) ** (1 / steps)


def test_on_a_trained_network_moves_along_the_sharpest_direction_shrink_below_and_grow_above():
    net, x, y = trained_network()
    found = curvature_rate(net, nn.MSELoss(), (x, y), tolerance=1e-6)
    assert found.rate == pytest.approx(2 / found.sharpness)
    assert distance_growth(net, x, y, 0.9 * found.rate) < 1
    assert distance_growth(net, x, y, 1.2 * found.rate, steps=5) > 1.1


def test_full_batch_descent_sharpens_up_to_the_edge_and_hovers_there():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 20), nn.Tanh(), nn.Linear(20, 1)).to(DOUBLE)
    x = torch.randn(40, 3, dtype=DOUBLE)
    y = torch.sin(3 * x[:, :1]) + x[:, 1:2] * x[:, 2:]
    before = curvature_rate(net, nn.MSELoss(), (x, y))
    rate = 0.5 * before.rate
    loss_after(net, x, y, torch.optim.SGD(net.parameters(), lr=rate), 4000)
    after = curvature_rate(net, nn.MSELoss(), (x, y))
    assert after.sharpness > before.sharpness
    assert after.rate == pytest.approx(rate, rel=0.15)  # Cohen et al. 2021


def test_adams_own_second_moment_and_that_of_frozen_weights():
    net, x, y = regression()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-12)
    loss_after(net, x, y, optimizer, 5)
    gradient = torch.autograd.grad(nn.MSELoss()(net(x), y), net.weight)[0].reshape(-1)
    assert_close(second_moment_of(optimizer, net), gradient.square(), rtol=1e-6, atol=0)
    given = curvature_rate(net, nn.MSELoss(), (x, y), "adam", second_moment=gradient.square())
    assert curvature_rate(net, nn.MSELoss(), (x, y), "adam").rate == pytest.approx(given.rate, rel=1e-3)
    with pytest.raises(InputError, match="SGD has no second moment of weight"):
        second_moment_of(torch.optim.SGD(net.parameters(), lr=0.1), net)


def test_flat_losses_have_no_edge_and_unknown_methods_are_named():
    net, x, y = regression()
    assert curvature_rate(net, lambda z, y: z.mean(), (x, y)).rate == math.inf
    with pytest.raises(InputError, match=r"no edge is known for 'lion'\. Methods: sgd"):
        curvature_rate(net, nn.MSELoss(), (x, y), "lion")
    with pytest.raises(InputError, match="momentum=1"):
        stable_product("sgd", 1.0)


def test_model_is_left_as_it_was():
    net, x, y = regression()
    state, random = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    with torch.no_grad():
        curvature_rate(net.train(), nn.MSELoss(), (x, y), "adamw")
    assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert net.training and net.weight.grad is None and torch.equal(torch.get_rng_state(), random)
