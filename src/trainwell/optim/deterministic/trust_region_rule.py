"""Trust regions: the quadratic model is believed within a radius Δ, which follows how well it predicts.

    min_p  m(p) = f + gᵀp + ½ pᵀHp   subject to ‖p‖ ≤ Δ,      ρ = (f(x) − f(x+p)) / (m(0) − m(p))

ρ < ¼: Δ ← Δ/4; ρ > ¾ with ‖p‖ = Δ: Δ ← 2Δ; the step is taken if ρ > 0.15. Three ways to p:

    cauchy     the lowest point along −g
    dogleg     the path 0 → unconstrained Cauchy point → Newton's point; H must be positive definite, or is shifted
    steihaug   conjugate gradients on Hp = −g until they leave the region or meet dᵀHd ≤ 0, then on to the border

A rejected step counts as an iteration and leaves x. Cauchy and Steihaug cost Hessian-vector products (4 n memory),
dogleg a Hessian and its factor (n², n³/3). Deck K. Papers: Powell 1970; Steihaug 1983; Nocedal & Wright 2006, ch. 4.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.flat_problem import Point, Problem, Product, Stalled
from trainwell.optim.deterministic.newton_rule import factor_shifted
from trainwell.optim.deterministic.truncated_newton import forcing

ACCEPT = 0.15  # least ρ of a step that is taken: SciPy's; Nocedal & Wright allow any in [0, ¼)
SOLVERS = ("cauchy", "dogleg", "steihaug")


def cauchy_point(product: Product, gradient: Tensor, radius: float) -> Tensor:
    """The lowest point of the model along −g within the radius."""
    norm = float(gradient.norm())
    curvature = float(gradient @ product(gradient))
    share = 1.0 if curvature <= 0 else min(1.0, norm**3 / (radius * curvature))
    return -(share * radius / norm) * gradient


def to_border(p: Tensor, d: Tensor, radius: float) -> Tensor:
    """p + τ d with τ ≥ 0 and ‖p + τ d‖ = Δ."""
    a, b, c = float(d @ d), float(p @ d), float(p @ p) - radius * radius
    root = max(b * b - a * c, 0.0) ** 0.5
    tau = -c / (b + root) if b > 0 else (root - b) / a
    return p + tau * d


def dogleg(factor: Tensor, product: Product, gradient: Tensor, radius: float) -> Tensor:
    """The point of the dogleg path at the radius, or Newton's point inside; ``factor``: Cholesky's of H."""
    newton = -torch.cholesky_solve(gradient[:, None], factor)[:, 0]
    if float(newton.norm()) <= radius:
        return newton
    corner = -(float(gradient @ gradient) / float(gradient @ product(gradient))) * gradient
    if float(corner.norm()) >= radius:
        return -(radius / float(gradient.norm())) * gradient
    return to_border(corner, newton - corner, radius)


def steihaug(product: Product, gradient: Tensor, radius: float, most: int) -> tuple[Tensor, bool]:
    """Truncated conjugate gradients inside the radius; the step, and whether it met negative curvature."""
    p, r = torch.zeros_like(gradient), gradient.clone()
    d, square, tolerance = -r, r @ r, forcing(gradient)
    for _ in range(most):
        curved = product(d)
        curvature = float(d @ curved)
        if curvature <= 0:
            return to_border(p, d, radius), True
        alpha = square / curvature
        following = p + alpha * d
        if float(following.norm()) >= radius:
            return to_border(p, d, radius), False
        p, r = following, r + alpha * curved
        before, square = square, r @ r
        if float(square) ** 0.5 <= tolerance:
            break
        d = -r + square / before * d
    return p, False


@dataclass(frozen=True)
class TrustRegionRule:
    """A step of a trust-region method.

    Args:
        solver: ``cauchy``, ``dogleg`` or ``steihaug``.
        radius: the first Δ, in the unit of x; 1.
        largest: Δ never grows beyond; no bound (SciPy's 1000 makes Brown's badly scaled function take 2000 steps).
        turns: of Steihaug's inner loop at most; None for 20 n.

    Raises:
        ValueError: for another solver.
    """

    solver: str = "steihaug"
    radius: float = 1.0
    largest: float = float("inf")
    turns: int | None = None

    def __post_init__(self) -> None:
        if self.solver not in SOLVERS:
            raise ValueError(f"trust region: no solver is called {self.solver!r}. Choose one of {', '.join(SOLVERS)}.")

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        radius = memory.get("radius", self.radius)
        step, curved = self._step(problem, point, radius, memory)
        predicted = -float(point.gradient @ step) - 0.5 * float(step @ curved)
        found = problem.point(point.x + step)
        noise = 4 * torch.finfo(point.x.dtype).eps * abs(point.fun)
        ratio = (point.fun - found.fun + noise) / (predicted + noise) if found.finite() else -1.0
        length = float(step.norm())
        if not ratio >= 0.25:
            memory["radius"] = 0.25 * min(radius, length)
        elif ratio > 0.75 and length >= 0.999 * radius:
            memory["radius"] = min(2 * radius, self.largest)
        else:
            memory["radius"] = radius
        if ratio > ACCEPT and found.finite():
            return found
        memory["rejected"] = memory.get("rejected", 0) + 1
        if memory["radius"] <= torch.finfo(point.x.dtype).eps * max(1e-8, float(point.x.norm())):
            raise Stalled(f"the trust region shrank to {memory['radius']:.3g} without a lower loss")
        return point

    def _step(self, problem: Problem, point: Point, radius: float, memory: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """The step p and H p, of the shifted H where the dogleg shifts it."""
        if self.solver == "dogleg":
            hessian = problem.hessian(point.x)
            factor, tau = factor_shifted(hessian)
            if tau > 0:
                memory["shifted"] = memory.get("shifted", 0) + 1

            def shifted(v: Tensor) -> Tensor:
                return hessian @ v + tau * v

            step = dogleg(factor, shifted, point.gradient, radius)
            return step, shifted(step)
        product = problem.product(point.x)
        if self.solver == "cauchy":
            step = cauchy_point(product, point.gradient, radius)
        else:
            turns = 20 * len(point.x) if self.turns is None else self.turns
            step, negative = steihaug(product, point.gradient, radius, turns)
            if negative:
                memory["negative"] = memory.get("negative", 0) + 1
        return step, product(step)
