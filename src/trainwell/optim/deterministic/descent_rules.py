"""Gradient descent, heavy ball and Nesterov's method on the whole loss.

With g = ∇f, rate η and momentum β:

    gradient descent   x ← x − η g(x)
    heavy ball         x ← x − η g(x) + β (x − x_before)
    Nesterov           x ← y − η g(y),   y ← x + β (x − x_before)

Nesterov's β is (t_k − 1)/t_{k+1} with t₁ = 1, t_{k+1} = (1 + √(1 + 4 t_k²))/2 (his original sequence), or constant for
a strongly convex f. Knowing L and μ (largest and smallest curvature) sets both numbers to the best ones on quadratics,
those of :func:`trainwell.theory.quadratic_rate`. Each step costs one gradient, the line searches' more.
Decks K and M. Papers: Cauchy 1847; Polyak 1964; Nesterov 1983 and 2004, theorem 2.2.3; Beck & Teboulle 2009 (FISTA).

A rule is called with the problem, the point it stands on and its memory (a dictionary of numbers and flat tensors that
it keeps from step to step) and returns the next point; ``Stalled`` says why not.
"""

import math
from dataclasses import dataclass
from typing import Any

from trainwell.optim.deterministic.along import first_trial, move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Stalled
from trainwell.theory.rates import quadratic_rate


def ahead(problem: Problem, x: Any, what: str) -> Point:
    """The point at x, which must be finite.

    Raises:
        Stalled: if it is not.
    """
    found = problem.point(x)
    if not found.finite():
        raise Stalled(f"the loss or its gradient became {found.fun:.3g} after a step with {what}: use a smaller rate")
    return found


@dataclass(frozen=True)
class GradientDescentRule:
    """x ← x − η g.

    Args:
        rate: η; None searches along −g for it (starting at twice the last one).
        search: the line search where ``rate`` is None.
    """

    rate: float | None = None
    search: str = "backtracking"

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        if self.rate is not None:
            return ahead(problem, point.x - self.rate * point.gradient, f"rate {self.rate:g}")
        alpha = 2 * memory["rate"] if "rate" in memory else first_trial(point, -point.gradient, None)
        found = move(problem, point, -point.gradient, search=self.search, alpha=alpha)
        memory["rate"] = float((found.x - point.x).norm() / point.gradient.norm())
        return found


def _tuned(
    method: str, rate: float | None, momentum: float | None, smoothness: float | None, strong_convexity: float | None
) -> tuple[float | None, float | None]:
    """(η, β): those given, else theory's for L and μ."""
    if smoothness is not None and strong_convexity is not None:
        best = quadratic_rate(method, smoothness, strong_convexity)
        return best.lr if rate is None else rate, best.momentum if momentum is None else momentum
    return (1 / smoothness if rate is None and smoothness is not None else rate), momentum


@dataclass(frozen=True)
class HeavyBallRule:
    """x ← x − η g + β (x − x_before).

    Args:
        rate, momentum: η and β (0.9 where neither it nor both L and μ are known).
        smoothness, strong_convexity: L and μ; set what is not given: η = 4/(√L+√μ)², β = ((√κ−1)/(√κ+1))².

    Raises:
        ValueError: where neither the rate nor L is known.
    """

    rate: float | None = None
    momentum: float | None = None
    smoothness: float | None = None
    strong_convexity: float | None = None

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        rate, momentum = _tuned("heavy_ball", self.rate, self.momentum, self.smoothness, self.strong_convexity)
        if rate is None:
            raise ValueError("heavy_ball needs rate=…, or smoothness=L (the largest curvature) to take 1/L.")
        beta = 0.9 if momentum is None else momentum
        before = memory.get("before", point.x)
        x = point.x - rate * point.gradient + beta * (point.x - before)
        found = ahead(problem, x, f"rate {rate:g} and momentum {beta:g}")
        memory["before"] = point.x
        return found


@dataclass(frozen=True)
class NesterovRule:
    """x ← y − η g(y), y ← x + β (x − x_before). The points returned are the y, where gradients are taken.

    Args:
        rate: η; None with no L backtracks: η halves until f(y − η g) ≤ f(y) − η ‖g‖²/2, and never grows.
        momentum: a constant β; None takes the t_k sequence, or with L and μ the strongly convex constant.
        smoothness, strong_convexity: L and μ.
        tuned: with L and μ: η = 4/(3L+μ) and its β instead of η = 1/L.
    """

    rate: float | None = None
    momentum: float | None = None
    smoothness: float | None = None
    strong_convexity: float | None = None
    tuned: bool = False

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        method = "nesterov_tuned" if self.tuned else "nesterov"
        rate, momentum = _tuned(method, self.rate, self.momentum, self.smoothness, self.strong_convexity)
        if rate is None:
            rate = self._backtracked(problem, point, memory)
        t = memory.get("t", 1.0)
        following = 0.5 * (1 + math.sqrt(1 + 4 * t * t))
        beta = (t - 1) / following if momentum is None else momentum
        x = point.x - rate * point.gradient
        before = memory.get("before", point.x)
        found = ahead(problem, x + beta * (x - before), f"rate {rate:g} and momentum {beta:g}")
        memory["before"], memory["t"] = x, following
        return found

    @staticmethod
    def _backtracked(problem: Problem, point: Point, memory: dict[str, Any]) -> float:
        square = float(point.gradient @ point.gradient)
        rate = memory.get("rate", 1.0)
        for _ in range(100):
            if problem.point(point.x - rate * point.gradient).fun <= point.fun - 0.5 * rate * square + 1e-15 * abs(
                point.fun
            ):
                memory["rate"] = rate
                return rate
            rate *= 0.5
        raise Stalled(f"no rate down to {rate:.3g} gives the decrease of a smooth function")
