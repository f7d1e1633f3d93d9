"""SciPy's minimizers on functions of tensors: gradients, Hessians and products from autograd, the result is ours."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize as so
import torch
from torch import Tensor

from trainwell.nearest_name import nearest
from trainwell.optim.deterministic.flat_problem import FunctionProblem, Point, Structure
from trainwell.optim.deterministic.minimizing import Course, Iterate, Result, finished, largest, started

TOLERANCES = {
    "BFGS": "gtol",
    "L-BFGS-B": "gtol",
    "CG": "gtol",
    "Newton-CG": "xtol",
    "dogleg": "gtol",
    "trust-ncg": "gtol",
    "trust-krylov": "gtol",
    "trust-exact": "gtol",
    "TNC": "gtol",
    "trust-constr": "gtol",
    "SLSQP": "ftol",
    "Nelder-Mead": "fatol",
    "Powell": "ftol",
    "COBYLA": "tol",
}
WITHOUT_GRADIENT = {"Nelder-Mead", "Powell", "COBYLA"}
WITH_PRODUCT = {"Newton-CG", "trust-ncg", "trust-krylov", "trust-constr"}
WITH_HESSIAN = {"dogleg", "trust-exact"}
LEAST_SQUARES = ("lm", "trf", "dogbox")


def _name(method: str) -> str:
    """SciPy's own spelling.

    Raises:
        ValueError: if it has no such method, with the nearest name.
    """
    asked = method.split(":", 1)[1]
    known = {name.lower(): name for name in (*TOLERANCES, *LEAST_SQUARES)}
    if asked.lower() not in known:
        names = [f"scipy:{name}" for name in known.values()]
        hint = nearest(method, names, f"SciPy's: {', '.join(names)}.")
        raise ValueError(f"minimize: SciPy has no method {asked!r} that works here. {hint}")
    return known[asked.lower()]


class _Bridge:
    """The function as SciPy calls it: NumPy in float64 in, NumPy out; remembers the best point that it was shown."""

    def __init__(self, problem: FunctionProblem) -> None:
        self.problem = problem
        self.last: Point | None = None

    def tensor(self, x: np.ndarray) -> Tensor:
        return torch.as_tensor(np.array(x), dtype=self.problem.start.dtype, device=self.problem.start.device)

    def value(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        found = self.problem.point(self.tensor(x))
        self.last = found
        return found.fun, found.gradient.double().cpu().numpy()

    def value_only(self, x: np.ndarray) -> float:
        return self.value(x)[0]

    def hessian(self, x: np.ndarray) -> np.ndarray:
        return self.problem.hessian(self.tensor(x)).double().cpu().numpy()

    def product(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        return self.problem.product(self.tensor(x))(self.tensor(v)).double().cpu().numpy()

    def residuals(self, x: np.ndarray) -> np.ndarray:
        self.problem.counts.fun += 1
        with torch.enable_grad():
            return self.problem.residual(self.tensor(x)).double().cpu().numpy()

    def jacobian(self, x: np.ndarray) -> np.ndarray:
        return self.problem.jacobian(self.tensor(x))[1].double().cpu().numpy()


def minimize_by_scipy(
    fun: Callable[..., Tensor],
    params: Structure,
    method: str,
    tol: float,
    max_iterations: int,
    callback: Callable[[Iterate], object] | None,
    trace: bool,
    options: dict[str, Any],
) -> Result:
    """What :func:`~trainwell.optim.minimize` does for ``scipy:NAME``; arguments as there.

    ``iterations`` is SciPy's ``nit``; for its least-squares methods, which report none, the number of Jacobians.
    """
    name = _name(method)
    least_squares = name in LEAST_SQUARES
    problem = FunctionProblem(fun, params, residuals=least_squares)
    course, bridge, start = Course(problem, callback, trace), _Bridge(problem), started(problem)
    course.at(start)
    x0 = start.x.double().cpu().numpy()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what SciPy warns of stands in its message
            if least_squares:
                found = _least_squares(bridge, x0, name, tol, options)
                iterations = int(problem.counts.jac)
            else:
                found = _minimized(bridge, x0, name, tol, max_iterations, course, options)
                iterations = int(found.nit)
        end = problem.point(bridge.tensor(found.x))
    except BaseException:
        if problem.in_place:
            problem.write(start.x)
        raise
    converged = bool(found.success) or largest(end.gradient) <= tol
    if not end.finite() or end.fun > start.fun:
        end, converged = start, False
    message = str(found.message).rstrip(".") + "."
    return finished(problem, end, iterations, converged, message, f"scipy:{name}", course)


def _least_squares(bridge: _Bridge, x0: np.ndarray, name: str, tol: float, options: dict[str, Any]) -> Any:
    small = {"ftol": 1e-15, "xtol": 1e-15, "gtol": max(tol, 1e-15)}
    return so.least_squares(bridge.residuals, x0, jac=bridge.jacobian, method=name, **{**small, **options})


def _minimized(
    bridge: _Bridge, x0: np.ndarray, name: str, tol: float, most: int, course: Course, options: dict[str, Any]
) -> Any:
    def told(intermediate_result: so.OptimizeResult) -> None:
        x = intermediate_result.x
        if bridge.last is None or not np.array_equal(bridge.last.x.double().cpu().numpy(), x):
            bridge.value(x)
        assert bridge.last is not None
        course.at(bridge.last)
        if course.asked:
            raise StopIteration

    given: dict[str, Any] = {TOLERANCES[name]: tol}
    if name != "TNC":
        given["maxiter"] = most
    if name == "L-BFGS-B":
        given.update(ftol=0.0, maxfun=1_000_000)
    extra: dict[str, Any] = {} if name in WITHOUT_GRADIENT else {"jac": True}
    if name in WITH_PRODUCT:
        extra["hessp"] = bridge.product
    if name in WITH_HESSIAN:
        extra["hess"] = bridge.hessian
    if course.callback is not None or course.trace:
        extra["callback"] = told if name not in ("COBYLA", "TNC", "SLSQP") else lambda x: told(so.OptimizeResult(x=x))
    target = bridge.value_only if name in WITHOUT_GRADIENT else bridge.value
    return so.minimize(target, x0, method=name, options={**given, **options}, **extra)
