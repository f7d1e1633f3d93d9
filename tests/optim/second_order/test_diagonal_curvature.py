"""AdaHessian and Sophia: rules by hand, estimators against exact diagonals, clipping, state, errors."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.testing import assert_close

from trainwell.curvature import GaussNewton, Hessian
from trainwell.optim import AdaHessian, Closure, NonFiniteStep, Sophia
from trainwell.optim.second_order.diagonal_hessian import kernel_mean

F64 = torch.float64
BOTH = pytest.mark.parametrize("kind", [AdaHessian, Sophia])


def closure_of(p, loss):
    return Closure([p], lambda: (p, loss))


def classifier(seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)).double()
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(30, 4, generator=generator, dtype=F64)
    return net, x, (x[:, 0] > 0).long() + (x[:, 1] > 0).long()


def test_adahessian_by_hand_on_a_diagonal_quadratic():  # the probe is exact there: h = diag H
    scales = torch.tensor([1.0, 10.0, -5.0], dtype=F64)
    p = nn.Parameter(torch.tensor([1.0, 2.0, 3.0], dtype=F64))
    optimizer = AdaHessian([p], lr=0.1, betas=(0.8, 0.9), eps=1e-3, power=0.7, weight_decay=0.2)
    x, m, v = p.detach().clone(), 0, 0
    for t in range(1, 6):
        optimizer.step(closure_of(p, lambda x: 0.5 * scales @ x.square()))
        m, v = 0.8 * m + 0.2 * scales * x, 0.9 * v + 0.1 * scales.square()
        below = (v / (1 - 0.9**t)) ** 0.35 + 1e-3
        x = (1 - 0.1 * 0.2) * x - 0.1 * m / (1 - 0.8**t) / below
        assert_close(p.detach(), x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("estimator", ["hutchinson", "gauss-newton"])
def test_sophia_by_hand_on_a_diagonal_quadratic(estimator):
    scales = torch.tensor([4.0, 0.01, 9.0], dtype=F64)
    p = nn.Parameter(torch.tensor([0.01, 2.0, 0.002], dtype=F64))
    optimizer = Sophia([p], lr=0.1, betas=(0.5, 0.9), gamma=2.0, every=2, estimator=estimator, weight_decay=0.2)
    x, m, h, clipped = p.detach().clone(), 0, 0, []
    for t in range(6):
        optimizer.step(Closure([p], lambda: (p[None], lambda z: 0.5 * scales @ z[0].square())))
        m = 0.5 * m + 0.5 * scales * x
        h = 0.9 * h + 0.1 * scales if t % 2 == 0 else h
        step = m / (2.0 * h)
        clipped.append(step.abs() > 1)
        x = (1 - 0.1 * 0.2) * x - 0.1 * step.clamp(-1, 1)
        assert_close(p.detach(), x, rtol=1e-12, atol=1e-12)
    assert torch.stack(clipped).any() and not torch.stack(clipped).all()


def test_negative_curvature_gives_sophia_s_sign_step():
    p = nn.Parameter(torch.tensor([0.3, -0.2], dtype=F64))
    optimizer = Sophia([p], lr=0.01, estimator="hutchinson")
    optimizer.step(closure_of(p, lambda x: -0.5 * x.square().sum()))
    assert_close(p.detach(), torch.tensor([0.31, -0.21], dtype=F64), rtol=1e-12, atol=0)


def estimates(kind, net, closure, draws, **options):
    rows = []
    for seed in range(draws):
        optimizer = kind(net.parameters(), lr=0.0, seed=seed, **options)
        members = optimizer.members()
        estimate = optimizer._probed if kind is AdaHessian else optimizer._estimated
        found = estimate(closure, members, 0)
        rows.append(torch.cat([d.flatten() for d in found[1]]))
    return torch.stack(rows)


@pytest.mark.parametrize(
    ("kind", "options", "exact"),
    [
        (AdaHessian, {}, Hessian),
        (Sophia, {"estimator": "hutchinson"}, Hessian),
        (Sophia, {"estimator": "gauss-newton"}, GaussNewton),
    ],
)
def test_estimators_are_unbiased(kind, options, exact):
    net, x, y = classifier()
    rows = estimates(kind, net, Closure.of(net, nn.CrossEntropyLoss(), x, y), 400, **options)
    diagonal = exact(net, nn.CrossEntropyLoss(), (x, y)).dense().diagonal()
    assert ((rows.mean(0) - diagonal).abs() < 5 * rows.std(0) / 400**0.5 + 1e-12).all()
    assert rows.std(0).max() > 0  # control: they are random


def test_kernels_share_their_mean():
    d = torch.tensor([[[1.0, -3.0]], [[2.0, 2.0]]])
    assert torch.equal(kernel_mean(d), torch.full((2, 1, 2), 2.0))
    assert torch.equal(kernel_mean(d[0]), d[0])


@BOTH
def test_trains(kind):
    net, x, y = classifier()
    optimizer = kind(net.parameters(), lr=0.1)
    losses = [float(optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x, y))) for _ in range(80)]
    assert losses[-1] < 0.2 * losses[0]


@BOTH
def test_goes_on_bit_for_bit_after_a_file(kind):
    net, x, y = classifier()
    closure = Closure.of(net, nn.CrossEntropyLoss(), x, y)
    first = kind(net.parameters(), lr=0.02, every=3)
    for _ in range(5):
        first.step(closure)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    copied = copy.deepcopy(net)
    second = kind(copied.parameters(), lr=1.0, every=3)
    second.load_state_dict(torch.load(file, weights_only=True))
    for _ in range(7):
        first.step(closure)
        second.step(Closure.of(copied, nn.CrossEntropyLoss(), x, y))
    assert all(torch.equal(p, q) for p, q in zip(net.parameters(), copied.parameters(), strict=True))


@BOTH
def test_bfloat16_parameters_keep_their_type(kind):
    p = nn.Parameter(torch.ones(4, 3, dtype=torch.bfloat16))
    optimizer = kind([p], lr=0.1)
    losses = [float(optimizer.step(closure_of(p, lambda x: x.float().square().sum()))) for _ in range(6)]
    assert p.dtype == optimizer.state[p]["mean"].dtype == torch.bfloat16 and losses[-1] < losses[0]


@BOTH
def test_losses_that_are_not_finite_take_the_last_step_back(kind):
    net, x, y = classifier()
    optimizer = kind(net.parameters(), lr=0.02)
    optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x, y))
    optimizer.step(Closure.of(net, nn.CrossEntropyLoss(), x, y))
    moved = [p.detach().clone() for p in net.parameters()]
    with pytest.raises(NonFiniteStep, match="taken back"):
        optimizer.step(Closure.of(net, lambda z, y: F.cross_entropy(z, y) * float("nan"), x, y))
    assert not any(torch.equal(p, q) for p, q in zip(net.parameters(), moved, strict=True))


def test_errors_say_what_to_do():
    p = nn.Parameter(torch.zeros(2))
    for kind, asks in ((AdaHessian, "loss"), (Sophia, "outputs")):
        with pytest.raises(RuntimeError, match="call step\\(closure\\)"):
            kind([p]).step()
        with pytest.raises(RuntimeError, match=rf"closure\.{asks}"):
            kind([p]).step(lambda: torch.zeros(()))
    with pytest.raises(ValueError, match="power=2"):
        AdaHessian([p], power=2)
    with pytest.raises(ValueError, match="estimator='exact'"):
        Sophia([p], estimator="exact")
