"""Newton–CG: Newton's equation solved by conjugate gradients, by Hessian-vector products alone.

    ‖H p + g‖ ≤ min(½, √‖g‖) ‖g‖,    x ← x + α p

The inner loop stops early where dᵀHd ≤ 0: then p is what it has, or −g in its first turn. The forcing term makes the
convergence superlinear. Memory 4 n, an inner turn costs about two gradients. Deck K. Papers: Dembo & Steihaug 1983;
Nocedal & Wright 2006, algorithm 7.1.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.along import move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Product


@dataclass(frozen=True)
class Solved:
    """What the inner loop found: p, and whether it met a direction without positive curvature."""

    step: Tensor
    negative: bool


def forcing(gradient: Tensor) -> float:
    """‖g‖ min(½, √‖g‖): the residual that the inner loop stops at."""
    norm = float(torch.linalg.vector_norm(gradient))
    return norm * min(0.5, norm**0.5)


def solve_truncated(product: Product, gradient: Tensor, tolerance: float, most: int) -> Solved:
    """Conjugate gradients on H p = −g until the residual's norm is ≤ ``tolerance``, ``most`` turns, or dᵀHd ≤ 0."""
    p, r = torch.zeros_like(gradient), gradient.clone()
    d, square = -r, r @ r
    for turn in range(most):
        curved = product(d)
        curvature = float(d @ curved)
        if not curvature > torch.finfo(d.dtype).eps * float(d.norm() * curved.norm()):
            return Solved(-gradient if turn == 0 else p, True)
        alpha = square / curvature
        p = p + alpha * d
        r = r + alpha * curved
        before, square = square, r @ r
        if float(square) ** 0.5 <= tolerance:
            break
        d = -r + square / before * d
    return Solved(p, False)


@dataclass(frozen=True)
class NewtonCGRule:
    """Line-search Newton–CG.

    Args:
        rate: the line search's first trial step; 1, Newton's.
        turns: most inner turns; None for 20 n, since rounding spoils the n that suffice in exact numbers.
        damping: added to H's diagonal; 0.
        search: the line search.
    """

    rate: float = 1.0
    turns: int | None = None
    damping: float = 0.0
    search: str = "wolfe"

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        times = problem.product(point.x)
        product = (lambda v: times(v) + self.damping * v) if self.damping else times
        turns = 20 * len(point.x) if self.turns is None else self.turns
        found = solve_truncated(product, point.gradient, forcing(point.gradient), turns)
        if found.negative:
            memory["negative"] = memory.get("negative", 0) + 1
        return move(problem, point, found.step, search=self.search, alpha=self.rate)
