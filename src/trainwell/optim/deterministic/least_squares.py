"""Gauss–Newton and Levenberg–Marquardt for f(x) = ½ ‖r(x)‖², with J = ∂r/∂x and gradient Jᵀr.

    Gauss–Newton            p = −J⁺ r,                        x ← x + α p    (α: Armijo)
    Levenberg–Marquardt     (JᵀJ + λ D²) p = −Jᵀ r,           ‖D p‖ ≤ Δ

JᵀJ is the Hessian without Σ rᵢ ∇²rᵢ: near Newton where residuals are small or nearly linear. D holds the largest column
norms of J so far, which makes the steps independent of the unit of each parameter; λ is the number that puts ‖D p‖ on
the border of the trust region, found from one singular value decomposition of J D⁻¹ = U S Vᵀ, in which

    D p(λ) = −Σᵢ vᵢ sᵢ (uᵢᵀ r) / (sᵢ² + λ).

An iteration is one Jacobian; trials within it cost one evaluation of r each. Memory m n, a step m n min(m, n).
Deck K. Papers: Levenberg 1944; Marquardt 1963; Moré 1978 (the rules for Δ and D are those of his MINPACK).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.along import move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Settled, Stalled

MOST_TRIALS = 60
BORDER = 0.1  # ‖Dp‖ may miss Δ by this share: Moré's


def _decomposed(matrix: Tensor, residuals: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular values, Uᵀr and V of the matrix, those below rounding left out."""
    if not (bool(torch.isfinite(matrix).all()) and bool(torch.isfinite(residuals).all())):
        raise Stalled("the residuals or their Jacobian are not finite")
    u, s, vt = torch.linalg.svd(matrix, full_matrices=False)
    kept = s > torch.finfo(s.dtype).eps * max(matrix.shape) * s.max()
    return s[kept], (u.T @ residuals)[kept], vt.T[:, kept]


@dataclass(frozen=True)
class GaussNewtonRule:
    """x ← x − α J⁺ r (the shortest step where J lacks rank).

    Args:
        search: the line search; Armijo's.
    """

    search: str = "backtracking"

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        residuals, jacobian = problem.jacobian(point.x)
        s, turned, v = _decomposed(jacobian, residuals)
        return move(problem, point, -(v @ (turned / s)), search=self.search)


@dataclass(frozen=True)
class LevenbergMarquardtRule:
    """Moré's Levenberg–Marquardt.

    Args:
        factor: the first Δ over ‖D x‖; 100, MINPACK's.
        reduction: relative decrease, predicted and actual, below which nothing is left to gain.
    """

    factor: float = 100.0
    reduction: float = 1e-15

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        residuals, jacobian = problem.jacobian(point.x)
        lengths = torch.linalg.vector_norm(jacobian, dim=0)
        scale = torch.maximum(memory["scale"], lengths) if "scale" in memory else lengths.where(lengths > 0, 1.0)
        memory["scale"] = scale
        first = "radius" not in memory
        if first:
            memory["radius"] = self.factor * (float((scale * point.x).norm()) or 1.0)
        s, turned, v = _decomposed(jacobian / scale, residuals)
        for _ in range(MOST_TRIALS):
            multiplier, scaled = _on_border(s, turned, memory["radius"])
            step = (v @ scaled) / scale
            length = float(scaled.norm())
            if first:
                memory["radius"], first = min(memory["radius"], length), False
            found = problem.point(point.x + step)
            ratio = self._judge(point, found, float((s * scaled).square().sum()), multiplier, length, memory)
            if ratio >= 1e-4 and found.finite():
                return found
            if memory["radius"] <= torch.finfo(scale.dtype).eps * float((scale * point.x).norm()):
                break
        raise Settled("no step lowers the residuals any more")

    def _judge(
        self, point: Point, found: Point, linear: float, multiplier: float, length: float, memory: dict[str, Any]
    ) -> float:
        """ρ of the trial; sets the next radius. ``linear``: ‖J p‖²; ``multiplier``: λ; ``length``: ‖D p‖."""
        damped = multiplier * length * length
        whole = 2 * point.fun
        predicted = (linear + 2 * damped) / whole if whole else 0.0
        actual = 1 - found.fun / point.fun if found.finite() and point.fun else -1.0
        if predicted <= self.reduction and abs(actual) <= self.reduction:
            raise Settled(f"the residuals can fall by no more than a share of {predicted:.1g}")
        ratio = actual / predicted if predicted else 0.0
        if ratio <= 0.25:
            slope = -(linear + damped) / whole
            share = 0.5 if actual >= 0 else 0.5 * slope / (slope + 0.5 * actual)
            if not found.finite() or found.fun >= 100 * point.fun or share < 0.1:
                share = 0.1
            memory["radius"] = share * min(memory["radius"], length / 0.1)
        elif multiplier == 0 or ratio >= 0.75:
            memory["radius"] = length / 0.5
        return ratio


def _on_border(s: Tensor, turned: Tensor, radius: float) -> tuple[float, Tensor]:
    """λ ≥ 0 and D p (in the coordinates V) with ‖D p‖ = Δ within 10 %, or λ = 0 and ‖D p‖ ≤ 1.1 Δ.

    Newton's method on 1/Δ − 1/‖Dp(λ)‖, which is nearly linear in λ, from λ = 0 below the root (Hebden; Moré 1978).
    """
    scaled = -turned / s
    if float(scaled.norm()) <= (1 + BORDER) * radius:
        return 0.0, scaled
    low, high = 0.0, float((s * turned).norm()) / radius
    multiplier = 0.0
    for _ in range(50):
        denominator = s.square() + multiplier
        scaled = -s * turned / denominator
        length = float(scaled.norm())
        if abs(length - radius) <= BORDER * radius:
            break
        if length > radius:
            low = multiplier
        else:
            high = multiplier
        slope = -float((scaled.square() / denominator).sum()) / length
        multiplier -= (length / radius) * (length - radius) / slope
        if not low < multiplier < high:
            multiplier = max(1e-3 * high, (low * high) ** 0.5)
    return multiplier, scaled
