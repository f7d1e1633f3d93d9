import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import CONSTRAINED, Multipliers, minimize_constrained

every = pytest.mark.parametrize("method", CONSTRAINED)
f64 = torch.float64


def t(*values):
    return torch.tensor(values, dtype=f64)


PROBLEMS = {  # f, g, h, start; all with one KKT point near the start
    "circle": (lambda x: x.sum(), lambda x: (x.square().sum() - 2).view(1), None, t(0.0, 0.0)),
    "line": (lambda x: x.square().sum(), None, lambda x: (x[0] + 2 * x[1] - 5).view(1), t(3.0, 3.0)),
    "hs35": (  # Hock–Schittkowski 35 (Beale): f* = 1/9
        lambda x: (
            9 - 8 * x[0] - 6 * x[1] - 4 * x[2] + 2 * x[0] ** 2 + 2 * x[1] ** 2 + x[2] ** 2
            + 2 * x[0] * x[1] + 2 * x[0] * x[2]
        ),
        lambda x: torch.cat([(x[0] + x[1] + 2 * x[2] - 3).view(1), -x]),
        None,
        t(0.5, 0.5, 0.5),
    ),
    "hs71": (  # 17.0140173
        lambda x: x[0] * x[3] * (x[0] + x[1] + x[2]) + x[2],
        lambda x: torch.cat([(25 - x.prod()).view(1), 1 - x, x - 5]),
        lambda x: (x.square().sum() - 40).view(1),
        t(1.0, 5.0, 5.0, 1.0),
    ),
    "inactive": (lambda x: (x - 1).square().sum(), lambda x: (x.square().sum() - 9).view(1), None, t(0.0, 0.0)),
}  # fmt: skip


def scipys(name):
    f, g, h, start = PROBLEMS[name]

    def numpied(function, sign=1.0):
        return {
            "fun": lambda v: sign * function(torch.from_numpy(v)).numpy(),
            "jac": lambda v: sign * torch.func.jacrev(function)(torch.from_numpy(v)).numpy(),
        }

    constraints = [{"type": "ineq", **numpied(g, -1.0)}] if g else []
    constraints += [{"type": "eq", **numpied(h)}] if h else []
    options = {"ftol": 1e-14, "maxiter": 500}
    return minimize(**numpied(f), x0=start.numpy(), constraints=constraints, method="SLSQP", options=options)


@pytest.mark.parametrize("name", PROBLEMS)
def test_augmented_lagrangian_finds_scipys_minimum_and_a_stationary_point(name):
    f, g, h, start = PROBLEMS[name]
    found = minimize_constrained(f, start, inequality=g, equality=h)
    expected = scipys(name)
    assert found.converged and found.violation <= 1e-5 and found.stationarity <= 1e-5
    assert found.value == pytest.approx(float(expected.fun), abs=1e-4)
    assert found.x.numpy() == pytest.approx(expected.x, abs=1e-3)
    assert (found.inequality >= 0).all()
    if g:
        assert (found.inequality * g(found.x)).abs().max() < 1e-4  # complementarity


def test_published_minima():
    values = {"hs35": 1 / 9, "hs71": 17.0140173, "circle": -2.0, "inactive": 0.0}
    for name, value in values.items():
        f, g, h, start = PROBLEMS[name]
        assert minimize_constrained(f, start, inequality=g, equality=h).value == pytest.approx(value, abs=1e-4)


@every
def test_closed_form_with_its_multiplier(method):  # min ‖x‖² s.t. aᵀx = b: x = ab/‖a‖², ν = −2b/‖a‖²
    f, _, h, start = PROBLEMS["line"]
    rate = {"rho": 0.5, "lr": 0.1} if method == "primal_dual" else {}
    found = minimize_constrained(f, start, equality=h, method=method, rounds=None if method != "penalty" else 8, **rate)
    tolerance = 1e-4 if method != "penalty" else 1e-3
    assert_close(found.x, t(1.0, 2.0), rtol=0, atol=tolerance)
    assert_close(found.equality, t(-2.0), rtol=0, atol=tolerance)


def test_a_penalty_violates_by_one_over_its_weight():  # G16: ½(w − a)² + ½μ(w − c)₊²: w = (a + μc)/(1 + μ)
    a, c = 3.0, 1.0
    for rounds, mu in ((1, 1.0), (2, 10.0), (3, 100.0)):
        found = minimize_constrained(
            lambda w: 0.5 * (w - a).square().sum(), t(0.0), inequality=lambda w: w - c, method="penalty", rounds=rounds
        )
        assert float(found.x) == pytest.approx((a + mu * c) / (1 + mu), abs=1e-7)
        assert found.violation == pytest.approx((a - c) / (1 + mu), abs=1e-7)
        assert float(found.inequality) == pytest.approx(mu * (a - c) / (1 + mu), rel=1e-6)  # → λ = a − c
    exact = minimize_constrained(lambda w: 0.5 * (w - a).square().sum(), t(0.0), inequality=lambda w: w - c)
    assert exact.violation <= 1e-5 and float(exact.inequality) == pytest.approx(a - c, abs=1e-4)  # control


def test_primal_dual_circles_on_a_bilinear_problem():  # x·λ has no curvature
    found = minimize_constrained(
        lambda x: x.sum() * 0, t(0.1), equality=lambda x: x, method="primal_dual", rho=0.1, lr=0.1, rounds=500
    )
    assert not found.converged and found.violation > 1e-3


@every
def test_its_gradient_is_the_lagrangians_and_is_checked(method):
    constraint = Multipliers(2, 1, method=method, rho=0.7, dtype=f64)
    constraint.update_(t(0.3, -1.0), t(0.4))

    def of(x):
        return constraint(x.square().sum(), torch.stack([x[0] - 0.2, x[1] - 5]), (x[0] * x[1]).view(1))

    x = t(0.9, -0.4).requires_grad_()
    assert torch.autograd.gradcheck(of, x)
    (found,) = torch.autograd.grad(of(x), x)
    rho = float(constraint.rho)
    x0, x1 = 0.9, -0.4
    if method == "penalty":
        lam, nu = max(0, rho * (x0 - 0.2)), rho * x0 * x1
    elif method == "augmented":
        lam = max(0, float(constraint.inequality[0]) + rho * (x0 - 0.2))
        nu = float(constraint.equality) + rho * x0 * x1
    else:
        lam, nu = float(constraint.inequality[0]), float(constraint.equality)
    assert_close(found, t(2 * x0 + lam + nu * x1, 2 * x1 + nu * x0))


def test_update_rules():
    constraint = Multipliers(2, 1, method="augmented", rho=2.0, growth=10.0, dtype=f64)
    constraint.update_(t(0.5, -3.0), t(-0.25))
    assert_close(constraint.inequality, t(1.0, 0.0))
    assert_close(constraint.equality, t(-0.5))
    assert float(constraint.rho) == 2.0 and float(constraint.violation) == 0.5
    constraint.update_(t(0.125, -3.0), t(0.1))  # to a quarter: ρ stays
    assert float(constraint.rho) == 2.0
    constraint.update_(t(0.05, -3.0), t(0.03))  # to 0.4 of it, not to a quarter: ρ grows
    assert float(constraint.rho) == 20.0
    penalty = Multipliers(1, method="penalty", rho=2.0)
    penalty.update_(torch.tensor([0.5]))
    assert float(penalty.rho) == 20.0 and float(penalty.inequality) == 1.0


@pytest.mark.parametrize("method", ["augmented", "primal_dual"])
def test_a_network_keeps_a_bound_on_its_mean_output(method):
    """A rate constraint: share of positives ≤ 0.3 where the data have 0.6; the unconstrained fit breaks it."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(100, 2, generator=generator)
    y = (x[:, 0] + 0.3 * torch.randn(100, generator=generator) > -0.25).float()
    rates = {}
    for bounded in (True, False):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
        optimizer = torch.optim.Adam(net.parameters(), lr=0.05)
        constraint = Multipliers(1, method=method, rho=1.0 if method == "augmented" else 0.1, growth=1.0)
        for step in range(250):
            optimizer.zero_grad()
            logits = net(x)[:, 0]
            loss = nn.functional.binary_cross_entropy_with_logits(logits, y)
            g = (logits.sigmoid().mean() - 0.3).view(1)
            (constraint(loss, g) if bounded else loss).backward()
            optimizer.step()
            if bounded and (method == "primal_dual" or step % 10 == 9):
                constraint.update_(g.detach())
        rates[bounded] = float(net(x).sigmoid().mean().detach())
    assert rates[True] == pytest.approx(0.3, abs=0.01)
    assert rates[False] > 0.5  # control


@every
def test_state_is_saved_and_loaded(method):
    first, second = Multipliers(2, 1, method=method), Multipliers(2, 1, method=method)
    first.update_(torch.tensor([1.0, -1.0]), torch.tensor([0.5]))
    second.load_state_dict(first.state_dict())
    assert_close(dict(second.named_buffers()), dict(first.named_buffers()))
    args = torch.tensor(1.0), torch.tensor([0.3, 0.1]), torch.tensor([0.2])
    assert_close(second(*args), first(*args))
    assert Multipliers(1, method=method)(torch.tensor(1.0).bfloat16(), torch.tensor([0.5]).bfloat16()).isfinite()


def test_errors():
    with pytest.raises(ValueError, match="no method is called 'sqp'"):
        Multipliers(1, method="sqp")
    with pytest.raises(ValueError, match="rho is 0"):
        Multipliers(1, rho=0)
    with pytest.raises(ValueError, match="0 inequalities and 0 equalities"):
        minimize_constrained(lambda x: x.sum(), t(0.0))
    with pytest.raises(ValueError, match=r"g has shape \(2,\) for 1 constraints"):
        Multipliers(1)(torch.tensor(0.0), torch.zeros(2))
    with pytest.raises(ValueError, match=r"a constraint gave shape \(\)"):
        minimize_constrained(lambda x: x.sum(), t(0.0), inequality=lambda x: x.sum())


def test_the_problems_are_what_they_say():  # control of the table: the unconstrained minimum differs
    for name in ("circle", "line", "hs35"):
        f, g, h, start = PROBLEMS[name]
        assert np.isfinite(float(f(start)))
        loose = minimize_constrained(f, start, inequality=lambda x: (x.square().sum() - 1e4).view(1))
        assert loose.value < minimize_constrained(f, start, inequality=g, equality=h).value - 0.1
