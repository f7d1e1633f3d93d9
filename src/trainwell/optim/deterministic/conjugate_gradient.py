"""Conjugate gradients: linear for quadratics, nonlinear with the β of four papers.

    d ← −g + β d_before,   x ← x + α d

Linear: α = gᵀg / dᵀHd and β = gᵀg / g_bᵀg_b end in at most n steps (as many as H has distinct eigenvalues).
Nonlinear: α by a strong Wolfe search with c₂ = 0.1 … 0.4, and with y = g − g_before

    fr  gᵀg / g_bᵀg_b       pr+  max(0, gᵀy / g_bᵀg_b)       hs  gᵀy / d_bᵀy       dy  gᵀg / d_bᵀy

Restart along −g where |gᵀg_b| ≥ ν gᵀg (Powell 1977), after some multiple of n steps, or where d does not descend.
Memory 2 n; deck K. Papers: Hestenes & Stiefel 1952; Fletcher & Reeves 1964; Polak & Ribière 1969; Dai & Yuan 1999;
Nocedal & Wright 2006, ch. 5.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.along import first_trial, move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Stalled

BETAS = ("fr", "pr+", "hs", "dy")


@dataclass(frozen=True)
class LinearCGRule:
    """Conjugate gradients with exact steps, for f(x) = ½ xᵀHx − bᵀx + c with H ≻ 0.

    Args:
        tolerance: share of ‖g‖ by which gradient and recursion may differ before f counts as no quadratic.
        kept: residuals that each new one is made orthogonal to, n numbers each; 0 is the plain method, which loses the
            end within n steps to rounding once some eigenvectors are found (κ ≥ 100).
    """

    tolerance: float = 1e-2
    kept: int = 200

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        g = self._orthogonal(point.gradient, memory)
        square = g @ g
        direction = -g if "direction" not in memory else -g + square / memory["square"] * memory["direction"]
        curved = problem.product(point.x)(direction)
        curvature = float(direction @ curved)
        if not curvature > 0:
            raise Stalled(f"the Hessian is not positive definite: dᵀHd = {curvature:.3g}; use cg or newton_cg")
        alpha = float(-(point.gradient @ direction)) / curvature
        found = problem.point(point.x + alpha * direction)
        wrong = float((found.gradient - point.gradient - alpha * curved).norm())
        start = memory.setdefault("start", float(g.norm()))
        if not wrong <= self.tolerance * float(point.gradient.norm()) + 1e-6 * start:
            raise Stalled(f"the function is not quadratic: the gradient is off by {wrong:.3g}; use cg")
        memory.update(direction=direction, square=square)
        return found

    def _orthogonal(self, gradient: Tensor, memory: dict[str, Any]) -> Tensor:
        """The gradient without its parts along earlier ones, which are rounding; twice is enough (Kahan)."""
        if not self.kept:
            return gradient
        basis = memory.setdefault("basis", [])
        clean = gradient
        for _ in range(2 if basis else 0):
            earlier = torch.stack(basis)
            clean = clean - earlier.T @ (earlier @ clean)
        if len(basis) < min(self.kept, len(gradient)) and float(clean.norm()) > 1e-3 * float(gradient.norm()):
            basis.append(clean / clean.norm())
            return clean
        memory.pop("direction", None)  # n directions are used up: start anew
        basis.clear()
        return gradient


@dataclass(frozen=True)
class ConjugateGradientRule:
    """Nonlinear conjugate gradients.

    Args:
        formula: of β; one of ``fr``, ``pr+``, ``hs``, ``dy``.
        rate: factor on the line search's first trial step; 1.
        c2: flatness that the line search asks for; 0.1 of Nocedal & Wright.
        restart: ν above; Powell's is 0.2. ∞, never, needs fewer steps in the middle of the problems of Moré, Garbow &
            Hillstrom (bench/scipy_methods.py): Wood's 24 against 104.
        period: steps after which it starts anew, over n. The classical 1 forgets what a narrow valley of few dimensions
            took long to learn, and never is too late elsewhere: with 1, 3, ∞ Osborne's first function (n = 5) takes
            1807, 463, 557 steps, Wood's (n = 4) 24, 25, 49 (bench/scipy_methods.py).
        search: the line search.

    Raises:
        ValueError: for another formula.
    """

    formula: str = "pr+"
    rate: float = 1.0
    c2: float = 0.1
    restart: float = float("inf")
    period: float = 3.0
    search: str = "wolfe"

    def __post_init__(self) -> None:
        if self.formula not in BETAS:
            raise ValueError(f"cg: no formula is called {self.formula!r}. Choose one of {', '.join(BETAS)}.")

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        direction = self.direction(point, memory)
        alpha = self.rate * first_trial(point, direction, memory.get("fun"))
        try:
            found = move(problem, point, direction, search=self.search, alpha=alpha, c2=self.c2)
        except Stalled:
            if "direction" not in memory:
                raise
            direction = self._restarted(point, memory)
            alpha = self.rate * first_trial(point, direction, None)
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
        if memory["age"] < self.period * len(g):
            direction = -g + self._beta(g, before, last) * last
            if orthogonal and float(direction @ g) < -1e-10 * float(direction.norm() * g.norm()):
                return direction
        return self._restarted(point, memory)

    def _restarted(self, point: Point, memory: dict[str, Any]) -> Tensor:
        memory["restarts"] = memory.get("restarts", 0) + 1
        memory["age"] = 0
        return -point.gradient

    def _beta(self, g: Tensor, before: Tensor, last: Tensor) -> float:
        change = g - before
        top = g @ g if self.formula in ("fr", "dy") else g @ change
        bottom = before @ before if self.formula in ("fr", "pr+") else last @ change
        if float(bottom) == 0:
            return 0.0
        beta = float(top / bottom)
        return max(0.0, beta) if self.formula == "pr+" else beta
