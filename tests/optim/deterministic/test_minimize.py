"""``minimize``: what every method does on quadratics and Rosenbrock's function, and what it says where it cannot."""

import math

import pytest
import torch
from minimizer_problems import LOGISTIC
from torch.testing import assert_close

from trainwell.optim import MINIMIZERS, minimize
from trainwell.theory import chebyshev_bound, quadratic_rate

RESIDUALS = ("lm", "gauss_newton")
QUICK = [m for m in MINIMIZERS if m not in ("gd", "heavy_ball", "nesterov", "cauchy", "linear_cg", "natural_gradient")]


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


def rosenbrock_residuals(x):
    return torch.stack([200**0.5 * (x[1] - x[0] ** 2), 2**0.5 * (1 - x[0])])


def start(*values):
    return torch.tensor(values or (-1.2, 1.0), dtype=torch.float64)


def bowl(condition_number, n=20, seed=0):
    """½ xᵀHx with minimum 0 at 0, equal ratios of eigenvalues, rotated; and a start of length 1 in every mode."""
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, n, generator=generator, dtype=torch.float64))[0]
    hessian = (q.T * torch.logspace(0, math.log10(condition_number), n, dtype=torch.float64)) @ q
    return lambda x: 0.5 * x @ hessian @ x, q.T @ torch.ones(n, dtype=torch.float64)


def options(method):
    return {"fisher": lambda x: torch.eye(2, dtype=torch.float64)} if method == "natural_gradient" else {}


@pytest.mark.parametrize("method", QUICK)
def test_finds_the_minimum_of_rosenbrocks_function(method):
    fun = rosenbrock_residuals if method in RESIDUALS else rosenbrock
    found = minimize(fun, start(), method, tol=1e-8)
    assert found.converged and found.iterations < 80, found.message
    assert_close(found.x, start(1.0, 1.0), rtol=0, atol=1e-8)
    assert found.gradient_norm <= 1e-8 and found.evaluations.fun >= found.iterations


@pytest.mark.slow
@pytest.mark.parametrize("method", ["gd", "nesterov", "cauchy"])
def test_first_order_methods_need_thousands_of_steps_for_it(method):
    found = minimize(rosenbrock, start(), method, tol=1e-3, max_iterations=30000)
    assert found.converged and found.iterations > 500


@pytest.mark.parametrize("method", MINIMIZERS)
def test_structure_and_kind_of_call_change_nothing(method):
    def of_list(parts):
        a, b = parts
        residuals = torch.cat([2 * (a - 1).reshape(-1), 3 * (b + 2).reshape(-1), (a.sum() - b.sum()).reshape(1)])
        return residuals if method in RESIDUALS else 0.5 * residuals.square().sum()

    more = {"rate": 0.05} if method == "heavy_ball" else {}
    if method == "natural_gradient":
        more = {"fisher": lambda x: lambda v: 9 * v}
    given = [torch.zeros(2, 2, dtype=torch.float64), torch.ones(3, dtype=torch.float64)]
    found = minimize(of_list, given, method, tol=1e-6, **more)
    leaves = [p.clone().requires_grad_() for p in given]
    inside = minimize(lambda: of_list(leaves), leaves, method, tol=1e-6, **more)
    assert found.converged, found.message
    assert found.fun == inside.fun and found.iterations == inside.iterations
    for before, after, leaf, x in zip(given, found.x, leaves, inside.x, strict=True):
        assert before.shape == after.shape and torch.equal(after, x) and torch.equal(leaf.detach(), x)
    assert not given[0].any()  # the start is left as it was


@pytest.mark.parametrize("kappa", [1e2, 1e4])
@pytest.mark.parametrize("method", ["gd", "heavy_ball", "nesterov", "nesterov_tuned"])
def test_rates_on_quadratics_are_those_of_theory(method, kappa):  # ln ρ within 3 %
    curvatures = torch.tensor([1.0, kappa**0.5, kappa], dtype=torch.float64)
    rate = quadratic_rate(method, kappa, 1.0)
    first, last = (300, 900) if kappa < 1e3 else (600, 1800)
    given = {"rate": rate.lr} if method == "gd" else {"smoothness": kappa, "strong_convexity": 1.0}
    if method == "nesterov_tuned":
        given["tuned"] = True
    found = minimize(lambda x: 0.5 * (curvatures * x) @ x, start(1, 1, 1), method.split("_tuned")[0], tol=1e-300,
                     max_iterations=last, trace=True, **given)  # fmt: skip
    errors = [max(float(found.path[k].x.abs().max()), 1e-300) for k in (first, last)]
    if rate.growth:  # the double root's (1 + b k)
        errors = [e / (1 + rate.growth * k) for e, k in zip(errors, (first, last), strict=True)]
    slope = (math.log(errors[1]) - math.log(errors[0])) / (last - first)
    assert slope == pytest.approx(math.log(rate.factor), rel=0.03)


@pytest.mark.parametrize("method", ["gd", "heavy_ball", "nesterov"])
def test_steps_to_a_tolerance_are_those_that_theory_predicts(method):
    kappa = 400.0
    curvatures = torch.tensor([1.0, 20.0, kappa], dtype=torch.float64)
    rate = quadratic_rate(method, kappa, 1.0)
    given = {"rate": rate.lr} if method == "gd" else {"smoothness": kappa, "strong_convexity": 1.0}
    found = minimize(lambda x: 0.5 * (curvatures * x) @ x, start(1, 1, 1), method, tol=1e-300, max_iterations=4000,
                     callback=lambda at: float(at.x.abs().max()) <= 1e-6, **given)  # fmt: skip
    assert found.iterations == pytest.approx(rate.steps(1e-6), abs=3) and "callback" in found.message


@pytest.mark.parametrize("kappa", [10.0, 1e2, 1e3])
def test_linear_cg_ends_within_n_steps_and_under_its_bound(kappa):
    fun, x0 = bowl(kappa, n=50)
    found = minimize(fun, x0, "linear_cg", tol=1e-8, trace=True, max_iterations=60)
    assert found.converged and found.iterations <= 50
    for k, at in enumerate(found.path):
        assert (at.fun / found.path[0].fun) ** 0.5 <= chebyshev_bound(kappa, k) * (1 + 1e-6) + 1e-12


def test_plain_linear_cg_loses_its_end_to_rounding():  # control: why residuals are kept
    fun, x0 = bowl(1e3, n=50)
    assert minimize(fun, x0, "linear_cg", tol=1e-8, kept=0).iterations > 60


def test_linear_cg_takes_as_many_steps_as_eigenvalues_differ():
    curvatures = torch.tensor([1.0] * 10 + [7.0] * 10 + [50.0] * 10, dtype=torch.float64)
    found = minimize(lambda x: 0.5 * (curvatures * x) @ x, torch.ones(30, dtype=torch.float64), "linear_cg", tol=1e-9)
    assert found.converged and found.iterations == 3


@pytest.mark.parametrize("method", ["fr", "pr+", "hs", "dy"])
def test_nonlinear_cg_with_exact_steps_is_linear_cg(method):  # all four β agree on a quadratic
    fun, x0 = bowl(100.0, n=6)
    linear = minimize(fun, x0, "linear_cg", tol=1e-9, trace=True)
    found = minimize(fun, x0, "cg", tol=1e-9, trace=True, formula=method, c2=0.01 if method else 0.0)
    assert found.converged and found.iterations <= 6 * linear.iterations
    near = minimize(fun, x0, "cg", tol=1e-9, trace=True, formula=method, c2=1.1e-4)
    assert_close(near.path[2].x, linear.path[2].x, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("kappa", [1.0, 1e4, 1e8])
def test_newton_takes_one_step_whatever_the_condition(kappa):
    fun, x0 = bowl(kappa)
    found = minimize(fun, x0, "newton", tol=1e-6)
    assert found.converged and found.iterations == 1 and found.evaluations.hess == 1


def test_newton_is_affine_invariant():
    matrix = torch.tensor([[3.0, 1.0], [-50.0, 0.2]], dtype=torch.float64)
    plain = minimize(rosenbrock, start(), "newton", trace=True, tol=1e-9)
    moved = minimize(lambda y: rosenbrock(matrix @ y), torch.linalg.solve(matrix, start()), "newton", trace=True,
                     tol=1e-9)  # fmt: skip
    for a, b in zip(plain.path[:10], moved.path[:10], strict=True):
        assert_close(matrix @ b.x, a.x, rtol=1e-6, atol=1e-8)


def test_natural_gradient_does_not_depend_on_the_parametrization():
    # Bernoulli with success rate 0.8: in logits F = p(1 − p); in any smooth coordinate small steps trace the same path
    def in_logit(x):
        return torch.nn.functional.softplus(x).sum() - 0.8 * x.sum()

    def fisher(x):
        p = torch.sigmoid(x)
        return (p * (1 - p)).reshape(1, 1)

    logits = minimize(in_logit, start(-2.0), "natural_gradient", fisher=fisher, rate=0.01, max_iterations=100)
    cubes = minimize(lambda y: in_logit(y**3), start(-2.0).sign() * 2 ** (1 / 3), "natural_gradient",
                     fisher=lambda y: fisher(y**3) * (3 * y**2) ** 2, rate=0.01, max_iterations=100)  # fmt: skip
    plain = minimize(lambda y: in_logit(y**3), start(-2.0).sign() * 2 ** (1 / 3), "gd", rate=0.01, max_iterations=100)
    assert_close(cubes.x**3, logits.x, rtol=0.02, atol=0)
    assert abs(float(plain.x**3 - logits.x)) > 0.3  # control: plain steps do depend on it


@pytest.mark.parametrize("method", ["bfgs", "lbfgs", "newton_cg", "steihaug", "dogleg", "newton", "cg"])
def test_logistic_regression_ends_at_the_loss_of_newton_by_hand(method):
    found = minimize(LOGISTIC.fun, LOGISTIC.x0(), method, tol=1e-6)
    assert found.converged and LOGISTIC.reached(found.fun)


@pytest.mark.parametrize("method", ["newton_cg", "steihaug", "newton", "dogleg", "cauchy", "bfgs", "lbfgs"])
def test_negative_curvature_is_left(method):  # a saddle beside the start: x² − y² + y⁴/4 has its minima at y = ±√2
    found = minimize(lambda x: x[0] ** 2 - x[1] ** 2 + 0.25 * x[1] ** 4, start(1.0, 1e-3), method, tol=1e-7)
    assert found.converged and found.fun == pytest.approx(-1.0, abs=1e-10)
    if method in ("newton", "dogleg"):
        assert "not positive definite" in found.message
    if method in ("newton_cg", "steihaug"):
        assert "negative curvature" in found.message


@pytest.mark.parametrize("method", [m for m in MINIMIZERS if m not in RESIDUALS])
def test_an_unbounded_function_is_no_success(method):  # control of convergence
    more = {**options(method), **({"rate": 0.1} if method == "heavy_ball" else {})}
    found = minimize(lambda x: x[0] - 2 * x[1], start(), method, max_iterations=50, **more)
    assert not found.converged and found.message


@pytest.mark.parametrize("method", [m for m in MINIMIZERS if m not in RESIDUALS])
def test_where_the_loss_ends_x_stays_at_a_finite_point(method):  # √ is no number below 0
    x = start(4.0, 3.0).requires_grad_()
    more = {**options(method), **({"rate": 2.0} if method in ("gd", "heavy_ball", "nesterov") else {})}
    found = minimize(lambda: (x[0] - 1).sqrt() + x[1] ** 2 * 1e-2, [x], method, max_iterations=100, **more)
    assert bool(torch.isfinite(x).all()) and math.isfinite(found.fun) and found.fun <= 3**0.5 + 0.1
    assert torch.equal(x.detach(), found.x[0])
    if "rate" in more:
        assert not found.converged and "smaller rate" in found.message


def test_a_start_that_is_not_finite_is_refused_and_stays():
    x = start(-1.0).requires_grad_()
    with pytest.raises(ValueError, match="at the start the loss is nan"):
        minimize(lambda: x.sqrt().sum(), [x])
    assert x.item() == -1.0


def test_an_error_inside_fun_leaves_the_last_good_point():
    x, calls = start().requires_grad_(), []

    def breaks():
        calls.append(1)
        if len(calls) > 6:
            raise KeyError("lost")
        return rosenbrock(x)

    with pytest.raises(KeyError):
        minimize(breaks, [x], "bfgs")
    assert rosenbrock(x.detach()) <= 24.2


def test_what_cannot_be_minimized_is_named():
    x = start()
    with pytest.raises(ValueError, match="Did you mean 'lbfgs'"):
        minimize(rosenbrock, x, "lbgfs")
    with pytest.raises(ValueError, match="Did you mean 'scipy:BFGS'"):
        minimize(rosenbrock, x, "scipy:BFG")
    with pytest.raises(ValueError, match="has no gradient"):
        minimize(lambda x: rosenbrock(x.detach()), x)
    with pytest.raises(ValueError, match="gave a float"):
        minimize(lambda x: rosenbrock(x).item(), x)
    with pytest.raises(ValueError, match=r"gave shape \(2,\).*lm"):
        minimize(rosenbrock_residuals, x, "bfgs")
    with pytest.raises(ValueError, match=r"has no option 'lr'\. It has rate"):
        minimize(rosenbrock, x, "gd", lr=0.1)
    with pytest.raises(ValueError, match="take no gradient"):
        minimize(lambda: rosenbrock(x), [x])
    with pytest.raises(ValueError, match="at least one"):
        minimize(rosenbrock, [])
    with pytest.raises(ValueError, match="one type"):
        minimize(lambda p: p[0].sum() + p[1].sum(), [x, x.float()])
    with pytest.raises(ValueError, match="needs fisher"):
        minimize(rosenbrock, x, "natural_gradient")
    with pytest.raises(ValueError, match="needs rate"):
        minimize(rosenbrock, x, "heavy_ball")
    with pytest.raises(ValueError, match="no formula is called"):
        minimize(rosenbrock, x, "cg", formula="polak")
    assert "not quadratic" in minimize(rosenbrock, x, "linear_cg").message
    assert "not positive definite" in minimize(lambda x: x[0] ** 2 - x[1] ** 2, x, "linear_cg").message


def test_float32_stays_float32():
    found = minimize(rosenbrock, start().float(), "bfgs", tol=1e-3)
    assert found.x.dtype == torch.float32 and found.converged


def test_a_pair_without_curvature_is_skipped():
    # |x| smoothed: far out the gradient is constant, y = 0
    found = minimize(lambda x: torch.clamp(x.abs() - 1, min=0).sum() + 0.5 * torch.clamp(x.abs(), max=1).square().sum(),
                     start(50.0), "lbfgs", search="backtracking")  # fmt: skip
    assert found.converged and "pairs without positive curvature were skipped" in found.message


@pytest.mark.parametrize(
    "method", ["BFGS", "L-BFGS-B", "CG", "Newton-CG", "trust-ncg", "trust-exact", "trust-krylov", "TNC", "SLSQP",
               "trust-constr", "Nelder-Mead", "Powell", "dogleg"]
)  # fmt: skip
def test_scipys_methods_give_the_same_kind_of_result(method):
    x0 = start(1.1, 1.2) if method == "dogleg" else start()
    x = x0.clone().requires_grad_()
    found = minimize(lambda: rosenbrock(x), [x], f"scipy:{method}", tol=1e-9, trace=True)
    assert found.method == f"scipy:{method}" and found.message and found.iterations > 0
    assert_close(found.x[0], start(1.0, 1.0), rtol=0, atol=1e-3)
    assert torch.equal(x.detach(), found.x[0]) and found.path[0].fun == float(rosenbrock(x0))
    assert found.path[-1].fun == pytest.approx(found.fun, abs=1e-6)


def test_scipys_least_squares_give_it_too():
    for method in ("lm", "trf", "dogbox"):
        found = minimize(rosenbrock_residuals, start(), f"scipy:{method}")
        assert found.converged and found.fun < 1e-12 and found.evaluations.jac == found.iterations > 3
