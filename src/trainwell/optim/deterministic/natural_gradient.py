"""Natural gradient: steepest descent where distance is measured by the Fisher information F of a model.

    (F(x) + λ I) p = −g,    x ← x + α p

It does not depend on how the model is parametrized, as far as p is small. F is given: as a matrix (n, n), or as a
function v → F v, then solved by conjugate gradients. Deck M. Papers: Amari 1998; Martens 2020, JMLR 21(146).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.along import move
from trainwell.optim.deterministic.descent_rules import ahead
from trainwell.optim.deterministic.flat_problem import FunctionProblem, Point, Problem, Product
from trainwell.optim.deterministic.newton_rule import factor_shifted
from trainwell.optim.deterministic.truncated_newton import solve_truncated


@dataclass(frozen=True)
class NaturalGradientRule:
    """x ← x − α (F + λ I)⁻¹ g.

    Args:
        fisher: x (in the shape of ``params``; parameters are there already for ``fun()``) → F as a matrix (n, n) or as
            a function of a flat v.
        damping: λ; 0.
        rate: α; None searches for it, from 1.
        turns: of conjugate gradients at most, where F is a function; None for 2 n (at most 200).
    """

    fisher: Callable[[Any], Tensor | Product]
    damping: float = 0.0
    rate: float | None = None
    turns: int | None = None

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        shaped = problem.shaped(point.x) if isinstance(problem, FunctionProblem) else point.x
        fisher = self.fisher(shaped)
        if isinstance(fisher, Tensor):
            factor, tau = factor_shifted(fisher, self.damping)
            if tau > self.damping:
                memory["shifted"] = memory.get("shifted", 0) + 1
            step = -torch.cholesky_solve(point.gradient[:, None], factor)[:, 0]
        else:
            product = fisher
            turns = min(200, 2 * len(point.x)) if self.turns is None else self.turns
            tolerance = 1e-10 * float(point.gradient.norm())
            step = solve_truncated(lambda v: product(v) + self.damping * v, point.gradient, tolerance, turns).step
        if self.rate is None:
            return move(problem, point, step, search="backtracking")
        return ahead(problem, point.x + self.rate * step, f"rate {self.rate:g}")
