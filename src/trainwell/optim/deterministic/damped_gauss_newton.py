"""Gauss–Newton and Levenberg–Marquardt for networks: products with G = Jᵀ Λ J, solved by conjugate gradients.

    (G + λ I) p = −g,    x ← x + η p

J = ∂outputs/∂x, Λ = ∂²loss/∂outputs². Gauss–Newton holds λ and searches along p (Armijo, from η). Levenberg–Marquardt
takes η p where it lowers the loss and lets λ follow ρ, the fall over the model's: ρ > ¾: λ/3; ρ < ¼: 3λ; where the loss
rises it solves again. Memory 4 n and the graph of one pass; an inner turn costs about two gradients.
Papers: Schraudolph 2002; Martens 2010 (Hessian-free optimization); Nocedal & Wright 2006, §10.3.
"""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from trainwell.optim.deterministic.along import move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Product, Stalled
from trainwell.optim.deterministic.truncated_newton import solve_truncated

TRIALS = 12  # 3¹² = 5e5: from too little damping to enough


@dataclass(frozen=True)
class DampedGaussNewtonRule:
    """One step.

    Args:
        rate: η.
        damping: λ, or the first one.
        adapts: is it Levenberg–Marquardt?
        turns: inner turns at most.
        tolerance: share of ‖g‖ that the inner residual may keep.
    """

    rate: float = 1.0
    damping: float = 1e-3
    adapts: bool = False
    turns: int = 50
    tolerance: float = 1e-2

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        product = problem.gauss_newton(point.x)
        if self.adapts:
            return self._adapted(problem, product, point, memory)
        step = self._solved(product, point, self.damping)
        return move(problem, point, step, search="backtracking", alpha=self.rate)

    def _solved(self, product: Product, point: Point, damping: float) -> Tensor:
        tolerance = self.tolerance * float(point.gradient.norm())
        return solve_truncated(lambda v: product(v) + damping * v, point.gradient, tolerance, self.turns).step

    def _adapted(self, problem: Problem, product: Product, point: Point, memory: dict[str, Any]) -> Point:
        trials = []
        damping = memory.get("damping", self.damping)
        for _ in range(TRIALS):
            step = self.rate * self._solved(product, point, damping)
            predicted = -float(point.gradient @ step) - 0.5 * float(step @ product(step))
            found = problem.point(point.x + step)
            trials.append(damping)
            ratio = (point.fun - found.fun) / predicted if found.finite() and predicted > 0 else -1.0
            if ratio > 0.75:
                memory["damping"] = damping / 3
            elif ratio < 0.25:
                memory["damping"] = damping * 3
            if ratio > 0:
                return found
            damping *= 3
            product = problem.gauss_newton(point.x)  # parameters moved: the old graph no longer holds
        memory["damping"] = damping
        raise Stalled(f"no damping from {trials[0]:.3g} to {trials[-1]:.3g} lowers the loss")
