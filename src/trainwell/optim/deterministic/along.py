"""A step along a direction: the line search's φ on a ``Problem``."""

from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.approximate_wolfe import hager_zhang
from trainwell.optim.deterministic.flat_problem import Point, Problem, Stalled
from trainwell.optim.deterministic.line_searches import backtracking, strong_wolfe

LINE_SEARCHES = {"backtracking": backtracking, "wolfe": strong_wolfe, "hager_zhang": hager_zhang}
ROUNDINGS = 4.0  # units in the last place of the loss by which two evaluations may differ


def move(problem: Problem, point: Point, direction: Tensor, *, search: str = "wolfe", **options: Any) -> Point:
    """The point that the line search finds from ``point`` along ``direction`` (n,).

    Args:
        search: a key of ``LINE_SEARCHES``.
        options: of the search: ``alpha``, ``c1``, ``c2`` (which backtracking does not look at).

    Raises:
        Stalled: if the direction does not descend, or no lower point was found.
        ValueError: for an unknown search.
    """
    if search not in LINE_SEARCHES:
        raise ValueError(f"no line search is called {search!r}. Choose one of {', '.join(LINE_SEARCHES)}.")
    slope = float(point.gradient @ direction)
    if not slope < 0:
        raise Stalled(f"the direction does not descend: its slope is {slope:.3g}")
    seen: dict[float, Point] = {}

    def phi(alpha: float) -> tuple[float, float]:
        found = problem.point(point.x + alpha * direction)
        seen[alpha] = found
        return found.fun, float(found.gradient @ direction)

    if search == "backtracking":
        options.pop("c2", None)
    noise = ROUNDINGS * torch.finfo(point.x.dtype).eps * abs(point.fun)
    found = LINE_SEARCHES[search](phi, (point.fun, slope), noise=noise, **options)  # type: ignore[operator]
    if found.alpha == 0:
        raise Stalled(f"the line search found no lower loss in {found.evaluations} trials along a slope of {slope:.3g}")
    end = seen[found.alpha]
    if end.fun == point.fun and torch.equal(end.gradient, point.gradient):
        raise Stalled(f"the step is lost in rounding after {found.evaluations} trials along a slope of {slope:.3g}")
    return end


def first_trial(point: Point, direction: Tensor, before: float | None) -> float:
    """First step to try: where a parabola with this slope falls as far as f did last, at most 1 (N&W eq. 3.60).

    At the start, where there is no last, that of a move of length about 1.
    """
    slope = float(point.gradient @ direction)
    fall = 0.5 * float(torch.linalg.vector_norm(point.gradient)) if before is None else before - point.fun
    if not slope < 0 or not fall > 0:
        return 1.0
    return min(1.0, 1.01 * 2.0 * fall / -slope)
