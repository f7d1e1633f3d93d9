"""Online L-BFGS and SQN: against the inverse written out, SciPy's Hessians, and on pairs that say nothing."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import SQN, Closure, NonFiniteStep, OnlineLBFGS

F64 = torch.float64
BOTH = pytest.mark.parametrize("kind", [OnlineLBFGS, SQN])


def quadratic(n=6, condition=100.0, seed=0):
    """A parameter and the closure of ½ xᵀHx."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=F64)).Q
    hessian = q * torch.logspace(0, float(torch.tensor(condition).log10()), n, dtype=F64) @ q.T
    p = nn.Parameter(torch.randn(n, generator=generator, dtype=F64))
    return p, hessian, Closure([p], lambda: (p, lambda x: 0.5 * x @ hessian @ x))


def regression(n=200, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=generator) * torch.logspace(0, -1, 8)
    y = torch.tanh(x @ torch.randn(8, 1, generator=generator))
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 12), nn.Tanh(), nn.Linear(12, 1)), x, y


def train(kind, net, x, y, steps, batch=50, optimizer=None, first=0, **options):
    optimizer = optimizer or kind(net.parameters(), **options)
    for step in range(first, first + steps):
        index = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:batch]
        optimizer.step(Closure.of(net, nn.MSELoss(), x[index], y[index]))
    return optimizer


@BOTH
def test_two_loops_are_the_inverse_written_out(kind):  # H ← (I − ρ s yᵀ) H (I − ρ y sᵀ) + ρ s sᵀ
    p, hessian, _ = quadratic()
    optimizer = kind([p], history=3)
    pairs = [(s, hessian @ s) for s in torch.randn(5, 6, dtype=F64, generator=torch.Generator().manual_seed(1))]
    for pair in pairs:
        optimizer._keep(*pair)
    kept = pairs[-3:]
    scales = [s @ y / (y @ y) for s, y in kept]
    averaged = kind is OnlineLBFGS
    inverse = (sum(scales) / 3 if averaged else scales[-1]) * torch.eye(6, dtype=F64)
    for s, y in kept:
        left = torch.eye(6, dtype=F64) - torch.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + torch.outer(s, s) / (s @ y)
    g = torch.ones(6, dtype=F64)
    assert_close(optimizer._inverse_times(g, averaged), inverse @ g, rtol=1e-12, atol=1e-12)


def test_online_pairs_see_the_same_batch_twice():
    p, hessian, closure = quadratic()
    optimizer = OnlineLBFGS([p], lr=1e-3, damping=0.5)
    before = p.detach().clone()
    optimizer.step(closure)
    s = p.detach() - before
    assert_close(s, -1e-3 * hessian @ before, rtol=1e-12, atol=1e-15)
    assert_close(optimizer.memory["y"][0], hessian @ s + 0.5 * s, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("curvature", ["hessian", "ggn"])
def test_sqn_pairs_are_products_at_averaged_iterates(curvature):
    p, hessian, closure = quadratic()
    optimizer = SQN([p], lr=1e-3, interval=3, curvature=curvature)
    seen = []
    for _ in range(6):
        seen.append(p.detach().clone())
        optimizer.step(closure)
    s = torch.stack(seen[3:]).mean(0) - torch.stack(seen[:3]).mean(0)
    assert_close(optimizer.memory["s"], s[None], rtol=1e-12, atol=1e-15)
    assert_close(optimizer.memory["y"], (hessian @ s)[None], rtol=1e-9, atol=1e-12)


def test_sqn_starts_as_gradient_descent():  # control: without pairs
    p, hessian, closure = quadratic()
    optimizer, x = SQN([p], lr=1e-3, interval=10), p.detach().clone()
    for _ in range(20):
        optimizer.step(closure)
        x = x - 1e-3 * hessian @ x
    assert_close(p.detach(), x, rtol=1e-12, atol=1e-14)


@BOTH
def test_pairs_pay_on_an_ill_conditioned_quadratic(kind):
    p, _, closure = quadratic(condition=1e3)
    start = closure.loss().item()
    optimizer = OnlineLBFGS([p], lr=1.0, damping=0.0) if kind is OnlineLBFGS else SQN([p], lr=1e-3, interval=5)
    if kind is OnlineLBFGS:
        optimizer.param_groups[0]["lr"] = 1e-3  # the first steps have no pairs, and are gradient descent's
    for step in range(200):
        if step == 20:
            optimizer.param_groups[0]["lr"] = 0.5
        optimizer.step(closure)
    assert closure.loss().item() < 1e-6 * start  # gradient descent: (1 − 2/κ)^400 = 0.45 at its best rate


@BOTH
def test_zero_and_negative_curvature_is_skipped_and_counted(kind):
    p = nn.Parameter(torch.tensor([1.0, -2.0]))
    optimizer = kind([p])
    optimizer._keep(torch.ones(2), torch.zeros(2))
    optimizer._keep(torch.ones(2), -torch.ones(2))
    optimizer._keep(torch.ones(2), torch.tensor([1.0, float("inf")]))
    assert optimizer.skipped == 3 and "s" not in optimizer.memory
    optimizer._keep(torch.ones(2), torch.ones(2))  # control
    assert optimizer.skipped == 3 and len(optimizer.memory["s"]) == 1


def test_linear_loss_gives_no_pair():
    p = nn.Parameter(torch.zeros(3))
    optimizer = SQN([p], interval=2)
    for _ in range(6):
        optimizer.step(Closure([p], lambda: (p, lambda x: x.sum())))
    assert optimizer.skipped == 2
    assert_close(p.detach(), torch.full((3,), -0.6))


def test_powell_s_damping_keeps_a_positive_share():
    p = nn.Parameter(torch.zeros(2))
    optimizer = OnlineLBFGS([p], powell=True)
    optimizer._keep(torch.tensor([1.0, 0.0]), torch.tensor([2.0, 0.0]))
    s = torch.tensor([1.0, 1.0])
    optimizer._keep(s, torch.tensor([-1.0, 0.5]))
    assert optimizer.damped == 1 and optimizer.skipped == 0
    y = optimizer.memory["y"][-1]
    assert float(s @ y) == pytest.approx(0.2 * float(s @ (2 * s)), rel=1e-6)  # sᵀy = 0.2 sᵀB₀s, B₀ = 2 I


@BOTH
def test_trains_on_batches(kind):
    net, x, y = regression()
    start = nn.MSELoss()(net(x), y).item()
    train(kind, net, x, y, 300)
    assert nn.MSELoss()(net(x), y).item() < 0.1 * start


@BOTH
def test_goes_on_bit_for_bit_after_a_file(kind):
    net, x, y = regression()
    first = train(kind, net, x, y, 25)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    copied = copy.deepcopy(net)
    second = kind(copied.parameters(), lr=7.0)
    second.load_state_dict(torch.load(file, weights_only=True))
    train(kind, net, x, y, 25, optimizer=first, first=25)
    train(kind, copied, x, y, 25, optimizer=second, first=25)
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), copied.parameters(), strict=True))


@BOTH
def test_groups_keep_their_rates(kind):
    net, x, y = regression()
    frozen = net[0].weight.detach().clone()
    groups = [{"params": [net[0].weight], "lr": 0.0}, {"params": [net[0].bias, *net[2].parameters()]}]
    train(kind, net, x, y, 30, optimizer=kind(groups, lr=0.05))
    assert torch.equal(net[0].weight, frozen)


@BOTH
def test_a_step_into_nothing_is_taken_back(kind):
    net, x, y = regression()
    optimizer = train(kind, net, x, y, 5, lr=0.01)
    optimizer.param_groups[0]["lr"] = 1e30
    before = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(NonFiniteStep, match="taken back"):
        train(kind, net, x, y, 2, optimizer=optimizer)
    assert all(torch.equal(p, b) for p, b in zip(net.parameters(), before, strict=True))


def test_errors_say_what_to_do():
    p = nn.Parameter(torch.zeros(2))
    for kind in (OnlineLBFGS, SQN):
        with pytest.raises(RuntimeError, match="call step\\(closure\\)"):
            kind([p]).step()
        with pytest.raises(ValueError, match="history=0"):
            kind([p], history=0)
        with pytest.raises(ValueError, match="one vector"):
            kind([p, nn.Parameter(torch.zeros(2, dtype=F64))])
    with pytest.raises(RuntimeError, match=r"closure\.loss"):
        SQN([p]).step(lambda: torch.zeros(()))
    with pytest.raises(ValueError, match="curvature='fisher'"):
        SQN([p], curvature="fisher")
