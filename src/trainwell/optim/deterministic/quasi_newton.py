"""BFGS and L-BFGS: curvature from differences of gradients.

With s = x_new − x, y = g_new − g, ρ = 1/yᵀs the inverse Hessian's estimate changes by

    B ← (I − ρ s yᵀ) B (I − ρ y sᵀ) + ρ s sᵀ,    x ← x − α B g

so that B y = s. BFGS keeps B (n² numbers, O(n²) a step), L-BFGS the last m pairs (2 m n numbers, 4 m n operations) and
forms B g by two loops, from B₀ = (sᵀy / yᵀy) I. α by strong Wolfe, which makes yᵀs > 0; a pair with
yᵀs ≤ 1e-10 ‖s‖ ‖y‖ (zero or negative curvature within rounding) is skipped and counted. Where the search stalls, the
estimate is forgotten and −g tried once. Deck K. Papers: Broyden, Fletcher, Goldfarb, Shanno 1970; Nocedal 1980;
Liu & Nocedal 1989; Nocedal & Wright 2006, ch. 6 and 7.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.along import first_trial, move
from trainwell.optim.deterministic.flat_problem import Point, Problem, Stalled

LEAST_CURVATURE = 1e-10  # of ‖s‖ ‖y‖


def _pair(point: Point, found: Point, memory: dict[str, Any]) -> tuple[Tensor, Tensor] | None:
    s, y = found.x - point.x, found.gradient - point.gradient
    if float(y @ s) > LEAST_CURVATURE * float(s.norm() * y.norm()):
        return s, y
    memory["skipped"] = memory.get("skipped", 0) + 1
    return None


@dataclass(frozen=True)
class BFGSRule:
    """BFGS with the whole inverse.

    Args:
        scaled: multiply B₀ = I by sᵀy / yᵀy before the first update (Nocedal & Wright eq. 6.20);
            without it most of the problems of Moré, Garbow & Hillstrom take fewer steps (bench/scipy_methods.py), but
            Wood's twice as many.
        c2: flatness that the line search asks for.
        search: the line search.
    """

    scaled: bool = False
    c2: float = 0.9
    search: str = "wolfe"

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        direction = -point.gradient if "inverse" not in memory else -(memory["inverse"] @ point.gradient)
        alpha = first_trial(point, direction, memory.get("fun"))
        try:
            found = move(problem, point, direction, search=self.search, alpha=alpha, c2=self.c2)
        except Stalled:
            if "inverse" not in memory:
                raise
            found = self._along_gradient(problem, point, memory)
        memory["fun"] = point.fun
        pair = _pair(point, found, memory)
        if pair is not None:
            self._update(memory, *pair)
        return found

    def _along_gradient(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        del memory["inverse"]
        memory["restarts"] = memory.get("restarts", 0) + 1
        alpha = first_trial(point, -point.gradient, None)
        return move(problem, point, -point.gradient, search=self.search, alpha=alpha, c2=self.c2)

    def _update(self, memory: dict[str, Any], s: Tensor, y: Tensor) -> None:
        sy = y @ s
        if "inverse" not in memory:
            scale = sy / (y @ y) if self.scaled else sy.new_ones(())
            memory["inverse"] = scale * torch.eye(len(s), dtype=s.dtype, device=s.device)
        inverse = memory["inverse"]
        by = inverse @ y
        cross = torch.outer(by, s) / sy
        memory["inverse"] = inverse - cross - cross.T + (1 + (y @ by) / sy) * torch.outer(s, s) / sy


@dataclass(frozen=True)
class LBFGSRule:
    """L-BFGS.

    Args:
        pairs: m; 10, that of SciPy (Nocedal & Wright: 3 to 20).
        c2: flatness that the line search asks for.
        search: the line search.
        rate: factor on the first trial step, which is 1.
    """

    pairs: int = 10
    c2: float = 0.9
    search: str = "wolfe"
    rate: float = 1.0

    def __call__(self, problem: Problem, point: Point, memory: dict[str, Any]) -> Point:
        steps, changes = memory.setdefault("steps", []), memory.setdefault("changes", [])
        direction = -two_loops(point.gradient, steps, changes)
        try:
            alpha = self.rate * (1.0 if steps else first_trial(point, direction, None))
            found = move(problem, point, direction, search=self.search, alpha=alpha, c2=self.c2)
        except Stalled:
            if not steps:
                raise
            steps.clear()
            changes.clear()
            memory["restarts"] = memory.get("restarts", 0) + 1
            alpha = first_trial(point, -point.gradient, None)
            found = move(problem, point, -point.gradient, search=self.search, alpha=alpha, c2=self.c2)
        pair = _pair(point, found, memory)
        if pair is not None:
            steps.append(pair[0])
            changes.append(pair[1])
            del steps[: -self.pairs], changes[: -self.pairs]
        return found


def two_loops(gradient: Tensor, steps: list[Tensor], changes: list[Tensor]) -> Tensor:
    """B g of the pairs (s, y), oldest first (Nocedal & Wright, algorithm 7.4); g itself where there are none."""
    q = gradient.clone()
    shares = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        share = (s @ q) / (y @ s)
        q -= share * y
        shares.append(share)
    if steps:
        q *= (steps[-1] @ changes[-1]) / (changes[-1] @ changes[-1])
    for s, y, share in zip(steps, changes, reversed(shares), strict=True):
        q += (share - (y @ q) / (y @ s)) * s
    return q
