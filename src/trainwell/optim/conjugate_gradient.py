"""Conjugate gradients: linear for quadratics, nonlinear with the β of four papers.

    d ← −g + β d_before,   x ← x + α d

Linear: α = gᵀg / dᵀHd and β = gᵀg / g_bᵀg_b end in at most n steps (as many as H has distinct eigenvalues).
Nonlinear: α by a strong Wolfe search with c₂ = 0.1 … 0.4, and with y = g − g_before

    fr  gᵀg / g_bᵀg_b       pr+  max(0, gᵀy / g_bᵀg_b)       hs  gᵀy / d_bᵀy       dy  gᵀg / d_bᵀy

Restart along −g where |gᵀg_b| ≥ ν gᵀg (Powell 1977), after n steps, or where d does not descend.
Memory 2 n; deck K. Papers: Hestenes & Stiefel 1952; Fletcher & Reeves 1964; Polak & Ribière 1969; Dai & Yuan 1999;
Nocedal & Wright 2006, ch. 5.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainwell.optim.along import first_trial, move
from trainwell.optim.flat_problem import Point, Problem, Stalled

BETAS = ("fr", "pr+", "hs", "dy")


@dataclass(frozen=True)
class LinearCGRule:
    """Conjugate gradients with exact steps, for f(x) = ½ xᵀHx − bᵀx + c with H ≻ 0.

    Args:
        tolerance: share of ‖g‖ by which gradient and recursion may differ before f counts as no quadratic.
    """

    tolerance: float = 1e-2

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        g = point.gradient
        square = g @ g
        direction = -g if "direction" not in memory else -g + square / memory["square"] * memory["direction"]
        curved = problem.product(point.x)(direction)
        curvature = float(direction @ curved)
        if not curvature > 0:
            raise Stalled(f"the Hessian is not positive definite: dᵀHd = {curvature:.3g}; use cg or newton_cg")
        alpha = float(-(g @ direction)) / curvature
        found = problem.point(point.x + alpha * direction)
        wrong = float((found.gradient - g - alpha * curved).norm())
        start = memory.setdefault("start", float(g.norm()))
        if not wrong <= self.tolerance * float(g.norm()) + 1e-6 * start:
            raise Stalled(f"the function is not quadratic: the gradient is off by {wrong:.3g}; use cg")
        memory.update(direction=direction, square=square)
        return found


@dataclass(frozen=True)
class ConjugateGradientRule:
    """Nonlinear conjugate gradients.

    Args:
        beta: one of ``fr``, ``pr+``, ``hs``, ``dy``.
        rate: factor on the line search's first trial step; 1.
        c2: flatness that the line search asks for; 0.1 of Nocedal & Wright.
        restart: ν above; 0.2 is Powell's; ∞ never.
        search: the line search.

    Raises:
        ValueError: for another β.
    """

    beta: str = "pr+"
    rate: float = 1.0
    c2: float = 0.1
    restart: float = 0.2
    search: str = "wolfe"

    def __post_init__(self) -> None:
        if self.beta not in BETAS:
            raise ValueError(f"cg: no beta is called {self.beta!r}. Choose one of {', '.join(BETAS)}.")

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        direction = self.direction(point, memory)
        alpha = self.rate * first_trial(point, direction, memory.get("fun"))
        found = move(problem, point, direction, search=self.search, alpha=alpha, c2=self.c2)
        memory.update(direction=direction, gradient=point.gradient, fun=point.fun, age=memory.get("age", 0) + 1)
        return found

    def direction(self, point: Point, memory: dict[str, Any]) -> Tensor:
        """The next direction; forgets the last one where a restart is due."""
        g = point.gradient
        if "direction" not in memory:
            return -g
        last, before = memory["direction"], memory["gradient"]
        orthogonal = abs(float(g @ before)) < self.restart * float(g @ g)
        if memory["age"] < len(g) or len(g) < 3:
            direction = -g + self._beta(g, before, last) * last
            if orthogonal and float(direction @ g) < -1e-10 * float(direction.norm() * g.norm()):
                return direction
        memory["restarts"] = memory.get("restarts", 0) + 1
        memory["age"] = 0
        return -g

    def _beta(self, g: Tensor, before: Tensor, last: Tensor) -> float:
        change = g - before
        top = g @ g if self.beta in ("fr", "dy") else g @ change
        bottom = before @ before if self.beta in ("fr", "pr+") else last @ change
        if float(bottom) == 0:
            return 0.0
        beta = float(top / bottom)
        return max(0.0, beta) if self.beta == "pr+" else beta
