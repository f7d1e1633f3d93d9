"""Line searches: how far to go along a descent direction, as functions of φ(α) = f(x + α d) alone.

With φ(0) and φ'(0) < 0 each search returns an α > 0 where, for c₁ < c₂,

    Armijo               φ(α) ≤ φ(0) + c₁ α φ'(0)
    strong Wolfe         Armijo and |φ'(α)| ≤ c₂ |φ'(0)|

``phi(alpha)`` gives (φ, φ') as floats and costs one loss and one gradient. A value that is not finite counts as too
far: the step shrinks. Every search ends after ``max_evaluations``; then it returns the lowest point that it saw, with
``satisfied=False``. ``noise`` is the rounding of φ, which is added to the right side of Armijo's test: within it, only
slopes tell a better point from a worse one. Deck M, "A generic line search algorithm"; backtracking of deck K.
Sources: Armijo 1966; Nocedal & Wright 2006, algorithms 3.1, 3.5, 3.6. Hager & Zhang's is in ``approximate_wolfe``.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

Phi = Callable[[float], tuple[float, float]]

SHRINK_INTO_FINITE = 0.1  # a step whose loss is not finite is cut to a tenth: exp overflows within one decade
EXTRAPOLATION = (1.1, 4.0)  # of the last advance, at least and at most: those of Moré & Thuente's dcsrch
INSIDE = 0.1  # share of the bracket that an interpolated step keeps away from its ends


@dataclass(frozen=True)
class Search:
    """Where a line search ended.

    Attributes:
        alpha: the step; 0 where no lower point was found.
        value, slope: φ(α), φ'(α).
        evaluations: of φ, the given start not counted.
        satisfied: do the search's conditions hold at ``alpha``?
    """

    alpha: float
    value: float
    slope: float
    evaluations: int
    satisfied: bool


def started_at(phi: Phi, start: tuple[float, float] | None) -> tuple[float, float]:
    """(φ(0), φ'(0)), which must be finite and descend.

    Raises:
        ValueError: if not.
    """
    value, slope = phi(0.0) if start is None else start
    if not (math.isfinite(value) and math.isfinite(slope)):
        raise ValueError(
            f"line search: at step 0 the loss is {value} and its slope {slope}. Start from a finite point."
        )
    if slope >= 0:
        raise ValueError(f"line search: the slope along the direction is {slope:.3g}, not negative. Use a direction d "
                         "with gradient·d < 0, such as minus the gradient.")  # fmt: skip
    return value, slope


def both_finite(value: float, slope: float) -> bool:
    """Are the value and the slope finite?"""
    return math.isfinite(value) and math.isfinite(slope)


def _cubic(a: float, fa: float, da: float, b: float, fb: float, db: float) -> float:
    """Minimizer of the cubic through both values and slopes; not finite where there is none (N&W eq. 3.59)."""
    theta = da + db - 3 * (fa - fb) / (a - b)
    square = theta * theta - da * db
    if square < 0 or not math.isfinite(square):
        return math.nan
    root = math.copysign(math.sqrt(square), b - a)
    bottom = db - da + 2 * root
    return b - (b - a) * (db + root - theta) / bottom if bottom else math.nan


def backtracking(
    phi: Phi,
    start: tuple[float, float] | None = None,
    *,
    alpha: float = 1.0,
    c1: float = 1e-4,
    shrink: float = 0.5,
    noise: float = 0.0,
    max_evaluations: int = 60,
) -> Search:
    """Shrink the step until Armijo's condition holds: α, α s, α s², ….

    Args:
        phi: α → (φ(α), φ'(α)); the slope beyond 0 is not used.
        start: (φ(0), φ'(0)); evaluated if None.
        alpha: first step tried; 1, Newton's step.
        c1: share of the linear decrease that is asked for, in (0, 1); 1e-4 of Nocedal & Wright.
        shrink: factor s in (0, 1); ½ of deck K.
        noise: rounding error of φ.
        max_evaluations: 60 halvings reach 1e-18 of the first step.

    Raises:
        ValueError: where φ'(0) ≥ 0 or φ(0) is not finite.

    Example:
        >>> backtracking(lambda a: ((a - 1) ** 2, 2 * (a - 1)), alpha=4.0).alpha
        1.0
    """
    value0, slope0 = started_at(phi, start)
    for evaluation in range(1, max_evaluations + 1):
        value, slope = phi(alpha)
        if math.isfinite(value) and value <= value0 + c1 * alpha * slope0 + noise:
            return Search(alpha, value, slope, evaluation, True)
        alpha *= shrink if math.isfinite(value) else min(shrink, SHRINK_INTO_FINITE)
    return Search(0.0, value0, slope0, max_evaluations, False)


@dataclass(frozen=True)
class End:
    """An end of a bracket: a step, its value and its slope."""

    alpha: float
    value: float
    slope: float


class _Wolfe:
    """One strong-Wolfe search: counts evaluations and knows the conditions."""

    def __init__(self, phi: Phi, zero: End, c1: float, c2: float, noise: float, left: int) -> None:
        self.phi, self.zero, self.c1, self.c2, self.noise = phi, zero, c1, c2, noise
        self.left, self.evaluations = left, 0

    def at(self, alpha: float) -> End:
        self.evaluations += 1
        return End(alpha, *self.phi(alpha))

    def too_high(self, end: End, low: End) -> bool:
        """Does Armijo fail at ``end``, or is it no lower than the best so far?"""
        bound = self.zero.value + self.c1 * end.alpha * self.zero.slope + self.noise
        return not both_finite(end.value, end.slope) or end.value > bound or end.value > low.value + self.noise

    def flat(self, end: End) -> bool:
        return abs(end.slope) <= -self.c2 * self.zero.slope

    def result(self, end: End, satisfied: bool) -> Search:
        return Search(end.alpha, end.value, end.slope, self.evaluations, satisfied)

    def advance(self, alpha: float, largest: float) -> Search:
        low, finite_below = self.zero, largest
        while self.evaluations < self.left:
            end = self.at(alpha)
            if not both_finite(end.value, end.slope):
                finite_below = alpha
                alpha = low.alpha + SHRINK_INTO_FINITE * (alpha - low.alpha)
                continue
            if self.too_high(end, low):
                return self.zoom(low, end)
            if self.flat(end):
                return self.result(end, True)
            if end.slope >= 0:
                return self.zoom(end, low)
            least, most = (end.alpha + factor * (end.alpha - low.alpha) for factor in EXTRAPOLATION)
            guess = _cubic(low.alpha, low.value, low.slope, end.alpha, end.value, end.slope)
            alpha = min(max(guess, least), most) if math.isfinite(guess) and guess > end.alpha else most
            low = end
            if alpha >= finite_below:
                alpha = 0.5 * (end.alpha + finite_below)
            if alpha - end.alpha <= 1e-14 * end.alpha:
                break
        return self.result(low, False)

    def zoom(self, low: End, high: End) -> Search:
        width = older = math.inf
        while self.evaluations < self.left:
            older, width = width, high.alpha - low.alpha
            if abs(width) <= 1e-16 * max(abs(low.alpha), abs(high.alpha)):
                break
            alpha = low.alpha + self.inside(low, high, width, stuck=abs(width) > 0.66 * abs(older)) * width
            end = self.at(alpha)
            if self.too_high(end, low):
                high = end
                continue
            if self.flat(end):
                return self.result(end, True)
            if end.slope * width >= 0:
                high = low
            low = end
        return self.result(low, False)

    @staticmethod
    def inside(low: End, high: End, width: float, stuck: bool) -> float:
        """The next step as a share of the bracket: interpolated, or the middle where interpolation stays stuck."""
        if stuck:
            return 0.5
        if not both_finite(high.value, high.slope):
            return SHRINK_INTO_FINITE
        share = (_cubic(low.alpha, low.value, low.slope, high.alpha, high.value, high.slope) - low.alpha) / width
        return min(max(share, INSIDE), 1 - INSIDE) if math.isfinite(share) else 0.5


def strong_wolfe(
    phi: Phi,
    start: tuple[float, float] | None = None,
    *,
    alpha: float = 1.0,
    c1: float = 1e-4,
    c2: float = 0.9,
    noise: float = 0.0,
    largest: float = 1e20,
    max_evaluations: int = 40,
) -> Search:
    """Find a step of sufficient decrease and flat slope: advance until it is bracketed, then zoom by cubics.

    Args:
        phi: α → (φ(α), φ'(α)).
        start: (φ(0), φ'(0)); evaluated if None.
        alpha: first step tried.
        c1, c2: 0 < c₁ < c₂ < 1; 0.9 for (quasi-)Newton directions, 0.1 … 0.4 for conjugate gradients.
        noise: rounding error of φ.
        largest: no step goes beyond.
        max_evaluations: of φ.

    Raises:
        ValueError: where φ'(0) ≥ 0, φ(0) is not finite, or not 0 < c₁ < c₂ < 1.

    Example:
        >>> strong_wolfe(lambda a: ((a - 3) ** 2, 2 * (a - 3)), c2=0.01).alpha
        3.0
    """
    check_constants(c1, c2)
    zero = End(0.0, *started_at(phi, start))
    return _Wolfe(phi, zero, c1, c2, noise, max_evaluations).advance(min(alpha, largest), largest)


def check_constants(c1: float, c2: float) -> None:
    """Raise a ValueError unless 0 < c₁ < c₂ < 1."""
    if not 0 < c1 < c2 < 1:
        raise ValueError(f"line search: c1={c1} and c2={c2} must satisfy 0 < c1 < c2 < 1. Use c1=1e-4, c2=0.9.")
