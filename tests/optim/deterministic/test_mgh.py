"""Our full-batch methods on the problems of Moré, Garbow & Hillstrom: listed minima, in no more than 1.5 times SciPy's
iterations. The whole table is ``bench/scipy_methods.py``; the quick part holds what takes milliseconds."""

import pytest
import torch
from mgh_comparison import EXCEPTIONS, FAMILIES, compare, iterations
from mgh_problems import PROBLEMS
from minimizer_problems import QUADRATICS

from trainwell.optim import minimize

BY_NAME = {problem.name: problem for problem in [*PROBLEMS, *QUADRATICS]}
QUICK = ("rosenbrock", "freudenstein_roth", "beale", "gaussian", "broyden_tridiagonal", "discrete_integral",
         "brown_almost_linear", "quadratic_1e+01")  # fmt: skip


def test_the_set_is_large_enough():
    assert len({problem.number for problem in PROBLEMS}) >= 18 and len(BY_NAME) == len(PROBLEMS) + len(QUADRATICS)


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda p: p.name)
def test_levenberg_marquardt_ends_at_a_listed_minimum(problem):  # and so the formulas and the data are right
    found = minimize(problem.residuals, problem.x0(), "lm", tol=1e-8)
    assert problem.reached(2 * found.fun), found.message


STARTS = {"rosenbrock": 24.2, "freudenstein_roth": 400.5, "beale": 14.203125, "wood": 19192.0, "powell_singular": 215.0,
          "helical_valley": 2500.0, "rosenbrock_10": 121.0, "bard": 41.6816956, "brown_dennis": 7926693.336997,
          "osborne_1": 0.879026, "osborne_2": 2.093420, "biggs_exp6": 0.779070}  # fmt: skip


@pytest.mark.parametrize("name", STARTS)
def test_starts_have_the_published_value(name):
    problem = BY_NAME[name]
    assert float(problem.fun(problem.x0())) == pytest.approx(STARTS[name], rel=1e-5)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize("method", FAMILIES)
def test_needs_at_most_half_more_iterations_than_scipy(method, name):
    cell, misses = compare(BY_NAME[name], method)
    assert not misses, cell


def test_gradient_descent_would_not_pass():  # control: the count tells methods apart
    problem = BY_NAME["rosenbrock"]
    found = minimize(problem.fun, problem.x0(), "gd", max_iterations=200, trace=True)
    assert not any(problem.reached(at.fun) for at in found.path)
    assert iterations(problem, "bfgs")[0] < 50


@pytest.mark.slow
@pytest.mark.parametrize("method", FAMILIES)
def test_on_the_whole_set_only_the_listed_exceptions_miss(method):
    missed = [problem.name for problem in BY_NAME.values() if compare(problem, method)[1]]
    assert set(missed) <= {name for m, name in EXCEPTIONS if m == method}


def test_minima_are_where_the_gradient_vanishes():  # property: each listed finite minimum that lm reached is stationary
    for name in ("freudenstein_roth", "osborne_1", "watson_6", "chebyquad"):
        problem = BY_NAME[name]
        found = minimize(problem.residuals, problem.x0(), "lm", tol=1e-10)
        hessian = torch.autograd.functional.hessian(problem.fun, found.x)
        assert found.gradient_norm < 1e-5 and float(torch.linalg.eigvalsh(hessian)[0]) > -1e-6
