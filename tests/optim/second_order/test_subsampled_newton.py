"""Subsampled Newton–CG and the stochastic trust region: closed forms, rejected steps, indefinite Hessians, state."""

import copy
import io
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import Closure, NonFiniteStep, StochasticTrustRegion, SubsampledNewtonCG

F64 = torch.float64
BOTH = pytest.mark.parametrize("kind", [SubsampledNewtonCG, StochasticTrustRegion])


def closure_of(p, loss):
    return Closure([p], lambda: (p, loss))


def regression(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=generator) * torch.logspace(0, -1.5, 8)
    y = torch.tanh(x @ torch.randn(8, 1, generator=generator))
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 1)), x, y


def train(net, optimizer, x, y, steps, batch=100, first=0):
    for step in range(first, first + steps):
        index = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:batch]
        optimizer.step(Closure.of(net, nn.MSELoss(), x[index], y[index]))
    return optimizer


@pytest.mark.parametrize("curvature", ["ggn", "hessian"])
def test_newton_step_is_the_damped_solution(curvature):
    generator = torch.Generator().manual_seed(0)
    basis = torch.randn(5, 5, generator=generator, dtype=F64)
    hessian = basis @ basis.T + torch.eye(5, dtype=F64)
    p = nn.Parameter(torch.randn(5, generator=generator, dtype=F64) * 1e-9)  # ‖g‖ small: CG solves to ‖g‖^1.5
    before = p.detach().clone()
    optimizer = SubsampledNewtonCG([p], curvature=curvature, damping=0.3, turns=50)
    optimizer.step(closure_of(p, lambda x: 0.5 * x @ hessian @ x))
    expected = before - torch.linalg.solve(hessian + 0.3 * torch.eye(5, dtype=F64), hessian @ before)
    assert_close(p.detach(), expected, rtol=1e-3, atol=1e-13)


@BOTH
def test_a_quadratic_is_solved_whatever_its_condition(kind):
    scales = torch.logspace(0, 8, 4, dtype=F64)
    p = nn.Parameter(torch.ones(4, dtype=F64))
    optimizer = kind([p], **({"damping": 0.0, "adapt": False} if kind is SubsampledNewtonCG else {"lr": 10.0}))
    closure = closure_of(p, lambda x: 0.5 * scales @ x.square())
    for _ in range(15):
        optimizer.step(closure)
    assert closure.loss().item() < 1e-12


def test_levenberg_marquardt_s_rule_moves_the_damping():
    scales = torch.logspace(0, 2, 4, dtype=F64)
    p = nn.Parameter(torch.ones(4, dtype=F64))
    optimizer = SubsampledNewtonCG([p], damping=1.0)
    optimizer.step(closure_of(p, lambda x: 0.5 * scales @ x.square()))
    assert optimizer.memory["damping"] == pytest.approx(2 / 3)  # the model is exact: ρ = 1
    q = nn.Parameter(torch.tensor([3.0], dtype=F64))
    worse = SubsampledNewtonCG([q], damping=1e-6, curvature="hessian")
    worse.step(closure_of(q, lambda x: x.square().add(1).sqrt().sum()))  # Newton's step goes to −27
    assert worse.memory["damping"] == pytest.approx(1.5e-6)
    assert q.abs().item() < 3  # the search halved it


@BOTH
def test_an_indefinite_hessian_is_handled_and_counted(kind):
    p = nn.Parameter(torch.tensor([0.1, 1.0], dtype=F64))
    closure = closure_of(p, lambda x: 0.25 * x[0] ** 4 - 0.5 * x[0] ** 2 + 0.5 * x[1] ** 2)
    optimizer = kind([p], curvature="hessian", **({"lr": 0.5} if kind is StochasticTrustRegion else {"damping": 0.0}))
    losses = [float(optimizer.step(closure)) for _ in range(40)]
    assert optimizer.negative > 0
    assert all(after <= before + 1e-15 for before, after in pairwise(losses))
    assert_close(p.detach().abs(), torch.tensor([1.0, 0.0], dtype=F64), rtol=1e-3, atol=1e-3)


@BOTH
def test_gauss_newton_never_meets_it(kind):  # control
    net, x, y = regression()
    assert train(net, kind(net.parameters()), x, y, 20).negative == 0


def test_a_step_without_decrease_is_put_back_to_the_bit():
    p = nn.Parameter(torch.tensor([1.0, 2.0]))
    state = {"calls": 0}

    def loss(x):  # the gradient's pass is honest, every trial is worse
        state["calls"] += 1
        return 0.5 * x.square().sum() + (0 if x.requires_grad else 100)

    for optimizer in (SubsampledNewtonCG([p]), StochasticTrustRegion([p])):
        optimizer.step(closure_of(p, lambda x: loss(x) if torch.is_grad_enabled() else loss(x.detach())))
        assert torch.equal(p, torch.tensor([1.0, 2.0])) and optimizer.rejected == 1
    assert optimizer.radius == 0.5


def test_radius_grows_while_the_model_is_right_and_stays_in_bounds():
    p = nn.Parameter(torch.tensor([100.0]))
    optimizer = StochasticTrustRegion([p], lr=0.5, largest=4.0)
    closure = closure_of(p, lambda x: 0.5 * x.square().sum())
    moved = []
    for _ in range(4):
        before = p.item()
        optimizer.step(closure)
        moved.append(before - p.item())
    assert moved == pytest.approx([0.5, 1.0, 2.0, 2.0], rel=1e-5)
    assert optimizer.radius == 2.0


@BOTH
def test_trains_on_batches_in_few_steps(kind):
    net, x, y = regression()
    start = nn.MSELoss()(net(x), y).item()
    train(net, kind(net.parameters()), x, y, 30)
    assert nn.MSELoss()(net(x), y).item() < 0.05 * start


@BOTH
def test_goes_on_bit_for_bit_after_a_file(kind):
    net, x, y = regression()
    first = train(net, kind(net.parameters()), x, y, 6)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    copied = copy.deepcopy(net)
    second = kind(copied.parameters(), lr=0.1)
    second.load_state_dict(torch.load(file, weights_only=True))
    train(net, first, x, y, 6, first=6)
    train(copied, second, x, y, 6, first=6)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), copied.parameters(), strict=True))


@BOTH
def test_losses_that_are_not_finite_leave_the_parameters(kind):
    net, x, y = regression()
    optimizer = train(net, kind(net.parameters()), x, y, 2)
    before = [p.detach().clone() for p in net.parameters()]
    optimizer._good = []
    with pytest.raises(NonFiniteStep, match="no step was taken"):
        optimizer.step(Closure.of(net, nn.MSELoss(), x * float("inf"), y))
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


@BOTH
def test_errors_say_what_to_do(kind):
    p = nn.Parameter(torch.zeros(2))
    with pytest.raises(RuntimeError, match="call step\\(closure\\)"):
        kind([p]).step()
    with pytest.raises(RuntimeError, match=r"closure\.outputs"):
        kind([p]).step(lambda: torch.zeros(()))
    with pytest.raises(ValueError, match="curvature='fisher'"):
        kind([p], curvature="fisher")
    with pytest.raises(ValueError, match="one vector"):
        kind([p, nn.Parameter(torch.zeros(2, dtype=F64))])
