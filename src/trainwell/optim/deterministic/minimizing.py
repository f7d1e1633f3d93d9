"""``minimize``: a plain function of tensors by any full-batch method, ours or SciPy's, with one kind of result.

>>> import torch
>>> rosenbrock = lambda x: 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2
>>> found = minimize(rosenbrock, torch.tensor([-1.2, 1.0], dtype=torch.float64), "bfgs", tol=1e-8)
>>> found.converged, [round(v, 6) for v in found.x.tolist()]
(True, [1.0, 1.0])
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.flat_problem import Evaluations, FunctionProblem, Point, Settled, Stalled, Structure
from trainwell.optim.deterministic.rule_table import minimizer

PATIENCE = 500  # steps: heavy ball's (1 + 2k) ρᵏ at κ = 10⁴ is back at its start after 320
NOTES = {
    "shifted": "the Hessian was not positive definite in {} steps and was shifted",
    "negative": "negative curvature was met in {} steps",
    "skipped": "{} pairs without positive curvature were skipped",
    "restarts": "{} restarts along the negative gradient",
    "rejected": "{} trial steps were rejected",
}


@dataclass(frozen=True)
class Iterate:
    """A point on the way: x in the shape of ``params``, the loss, and the largest entry of the gradient."""

    x: Any
    fun: float
    gradient_norm: float


@dataclass(frozen=True)
class Result:
    """What ``minimize`` found.

    Attributes:
        x: the point, in the shape of ``params``, detached.
        fun: the loss there; ½ Σ r² for methods that take residuals.
        gradient_norm: the largest absolute entry of the gradient there.
        iterations: steps (a rejected trust-region trial is one).
        evaluations: losses, gradients, Hessian-vector products, Hessians, Jacobians.
        converged: is the gradient within ``tol``, or nothing left to gain?
        message: why it ended, and what was out of the ordinary.
        method: its name.
        path: every point from the start on, where ``trace`` was asked for; else empty.
    """

    x: Any
    fun: float
    gradient_norm: float
    iterations: int
    evaluations: Evaluations
    converged: bool
    message: str
    method: str
    path: tuple[Iterate, ...] = ()


class Course:
    """The way of one minimization: reports each point, keeps the trace, and knows when it is asked to stop."""

    def __init__(self, problem: FunctionProblem, callback: Callable[[Iterate], object] | None, trace: bool) -> None:
        self.problem, self.callback, self.trace = problem, callback, trace
        self.path: list[Iterate] = []
        self.asked = False

    def at(self, point: Point) -> None:
        """Note the point; the callback's truth asks to stop."""
        if not self.trace and self.callback is None:
            return
        shaped = self.problem.shaped(point.x.clone())
        iterate = Iterate(shaped, point.fun, largest(point.gradient))
        if self.trace:
            self.path.append(iterate)
        self.asked = self.callback is not None and bool(self.callback(iterate))


class Progress:
    """Does the loss or the gradient still fall? Where rounding rules, neither does for ``PATIENCE`` steps."""

    def __init__(self, point: Point) -> None:
        self.rounding = 4 * torch.finfo(point.x.dtype).eps
        self.fun, self.norm, self.waited = point.fun, largest(point.gradient), 0

    def ended(self, point: Point) -> bool:
        """Note the point; were the last ``PATIENCE`` all without progress?"""
        norm = largest(point.gradient)
        lower = point.fun < self.fun - self.rounding * abs(self.fun) or norm < self.norm
        self.fun, self.norm = min(self.fun, point.fun), min(self.norm, norm)
        self.waited = 0 if lower else self.waited + 1
        return self.waited >= PATIENCE


def largest(gradient: Tensor) -> float:
    """The largest absolute entry."""
    return float(torch.linalg.vector_norm(gradient, float("inf")))


def minimize(
    fun: Callable[..., Tensor],
    params: Structure,
    method: str = "lbfgs",
    *,
    tol: float = 1e-5,
    max_iterations: int = 1000,
    callback: Callable[[Iterate], object] | None = None,
    trace: bool = False,
    **options: Any,
) -> Result:
    """Minimize a deterministic function, whose derivatives autograd gives, until max |gᵢ| ≤ ``tol``.

    Everything is computed in the type and on the device of ``params``; float64 reaches ``tol``, float32 seldom below
    1e-4 of the gradient's scale.

    Args:
        fun: ``fun(x)`` with x in the shape of ``params`` (which stay as they are), or ``fun()`` that reads the leaf
            tensors ``params``, which are moved and end at the result. Gives a scalar; for ``lm`` and ``gauss_newton``
            residuals of any shape.
        params: where to start: a tensor, or a list of tensors of one type on one device.
        method: a key of ``MINIMIZERS``, or SciPy's as ``scipy:BFGS`` (for residuals ``scipy:lm``, ``scipy:trf``,
            ``scipy:dogbox``).
        tol: largest entry of the gradient at which it ends; 1e-5, SciPy's.
        max_iterations: steps at most.
        callback: is told each point from the start on; a true value ends the minimization there.
        trace: keep all points in ``Result.path``.
        options: of the method: fields of its rule, or SciPy's ``options``.

    Returns:
        The last good point: where the loss turns non-finite, a direction does not descend or a line search fails, the
        point before, with ``converged=False`` and the reason in ``message``.

    Raises:
        ValueError: for an unknown method or option, a function without gradient or of the wrong shape, or a start
            where the loss or its gradient is not finite (parameters are left where they were).
    """
    if method.lower().startswith("scipy:"):
        from trainwell.optim.deterministic.scipy_bridge import minimize_by_scipy

        return minimize_by_scipy(fun, params, method, tol, max_iterations, callback, trace, options)
    name, line = minimizer(method)
    rule = line(name, **options)
    problem = FunctionProblem(fun, params, residuals=line.needs == "residuals")
    course = Course(problem, callback, trace)
    point = started(problem)
    memory: dict[str, Any] = {}
    try:
        point, iterations, converged, why = _run(rule, problem, point, memory, tol, max_iterations, course)
    except BaseException:
        if problem.in_place:
            problem.write(problem.best)
        raise
    said = [why, *(text.format(memory[key]) for key, text in NOTES.items() if memory.get(key))]
    return finished(problem, point, iterations, converged, "; ".join(said) + ".", name, course)


def started(problem: FunctionProblem) -> Point:
    """The start, which must be finite.

    Raises:
        ValueError: if it is not.
    """
    try:
        point = problem.point(problem.start)
    finally:
        if problem.in_place:
            problem.write(problem.start)
    if not point.finite():
        raise ValueError(f"minimize: at the start the loss is {point.fun} and its gradient's largest entry "
                         f"{largest(point.gradient)}. Start where both are finite.")  # fmt: skip
    return point


def _run(
    rule: Callable[..., Point],
    problem: FunctionProblem,
    point: Point,
    memory: dict[str, Any],
    tol: float,
    max_iterations: int,
    course: Course,
) -> tuple[Point, int, bool, str]:
    """Steps until the end: the point, the number of steps, whether it converged, and why it ended."""
    problem.best = point.x
    course.at(point)
    progress = Progress(point)
    for iteration in range(max_iterations + 1):
        if largest(point.gradient) <= tol:
            return point, iteration, True, f"the gradient is within {tol:g}"
        if course.asked:
            return point, iteration, False, "the callback asked to stop"
        if iteration == max_iterations:
            break
        try:
            point = rule(problem, point, memory)
        except Settled as reason:
            return point, iteration, True, str(reason)
        except Stalled as reason:
            return point, iteration, False, f"{reason}; x is the last point before"
        problem.best = point.x
        course.at(point)
        if progress.ended(point) and largest(point.gradient) > tol:
            why = f"neither the loss nor the gradient fell in {PATIENCE} steps: that is rounding, or too large a rate"
            return point, iteration + 1, False, why
    return point, max_iterations, False, f"{max_iterations} iterations were not enough"


def finished(
    problem: FunctionProblem, point: Point, iterations: int, converged: bool, message: str, name: str, course: Course
) -> Result:
    """The result at ``point``, to which parameters of ``fun()`` are moved."""
    if problem.in_place:
        problem.write(point.x)
    x = problem.shaped(point.x.detach().clone())
    norm = largest(point.gradient)
    return Result(x, point.fun, norm, iterations, problem.counts, converged, message, name, tuple(course.path))
