"""Line searches: how far to go along a descent direction, as functions of φ(α) = f(x + α d) alone.

With φ(0) and φ'(0) < 0 each search returns an α > 0 where, for c₁ < c₂,

    Armijo               φ(α) ≤ φ(0) + c₁ α φ'(0)
    strong Wolfe         Armijo and |φ'(α)| ≤ c₂ |φ'(0)|
    approximate Wolfe    φ(α) ≤ φ(0) + ε and c₂ φ'(0) ≤ φ'(α) ≤ (2 c₁ − 1) φ'(0)

``phi(alpha)`` gives (φ, φ') as floats and costs one loss and one gradient. A value that is not finite counts as too
far: the step shrinks. Every search ends after ``max_evaluations``; then it returns the lowest point that it saw, with
``satisfied=False``. ``noise`` is the rounding of φ, which is added to the right side of Armijo's test: within it, only
slopes tell a better point from a worse one. Deck M, "A generic line search algorithm"; backtracking of deck K.
Sources: Armijo 1966; Nocedal & Wright 2006, algorithms 3.1, 3.5, 3.6; Hager & Zhang 2005, SIAM J. Optim. 16(1).
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


def _started(phi: Phi, start: tuple[float, float] | None) -> tuple[float, float]:
    value, slope = phi(0.0) if start is None else start
    if not (math.isfinite(value) and math.isfinite(slope)):
        raise ValueError(f"line search: at step 0 the loss is {value} and its slope {slope}. Start from a finite point.")
    if slope >= 0:
        raise ValueError(f"line search: the slope along the direction is {slope:.3g}, not negative. Use a direction d "
                         "with gradient·d < 0, such as minus the gradient.")  # fmt: skip
    return value, slope


def _finite(value: float, slope: float) -> bool:
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
    value0, slope0 = _started(phi, start)
    for evaluation in range(1, max_evaluations + 1):
        value, slope = phi(alpha)
        if math.isfinite(value) and value <= value0 + c1 * alpha * slope0 + noise:
            return Search(alpha, value, slope, evaluation, True)
        alpha *= shrink if math.isfinite(value) else min(shrink, SHRINK_INTO_FINITE)
    return Search(0.0, value0, slope0, max_evaluations, False)


@dataclass(frozen=True)
class _End:
    """An end of a bracket: a step, its value and its slope."""

    alpha: float
    value: float
    slope: float


class _Wolfe:
    """One strong-Wolfe search: counts evaluations and knows the conditions."""

    def __init__(self, phi: Phi, zero: _End, c1: float, c2: float, noise: float, left: int) -> None:
        self.phi, self.zero, self.c1, self.c2, self.noise = phi, zero, c1, c2, noise
        self.left, self.evaluations = left, 0

    def at(self, alpha: float) -> _End:
        self.evaluations += 1
        return _End(alpha, *self.phi(alpha))

    def too_high(self, end: _End, low: _End) -> bool:
        """Does Armijo fail at ``end``, or is it no lower than the best so far?"""
        bound = self.zero.value + self.c1 * end.alpha * self.zero.slope + self.noise
        return not _finite(end.value, end.slope) or end.value > bound or end.value > low.value + self.noise

    def flat(self, end: _End) -> bool:
        return abs(end.slope) <= -self.c2 * self.zero.slope

    def result(self, end: _End, satisfied: bool) -> Search:
        return Search(end.alpha, end.value, end.slope, self.evaluations, satisfied)

    def advance(self, alpha: float, largest: float) -> Search:
        low, finite_below = self.zero, largest
        while self.evaluations < self.left:
            end = self.at(alpha)
            if not _finite(end.value, end.slope):
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

    def zoom(self, low: _End, high: _End) -> Search:
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
    def inside(low: _End, high: _End, width: float, stuck: bool) -> float:
        """The next step as a share of the bracket: interpolated, or the middle where interpolation stays stuck."""
        if stuck:
            return 0.5
        if not _finite(high.value, high.slope):
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
    _constants(c1, c2)
    zero = _End(0.0, *_started(phi, start))
    return _Wolfe(phi, zero, c1, c2, noise, max_evaluations).advance(min(alpha, largest), largest)


def _constants(c1: float, c2: float) -> None:
    if not 0 < c1 < c2 < 1:
        raise ValueError(f"line search: c1={c1} and c2={c2} must satisfy 0 < c1 < c2 < 1. Use c1=1e-4, c2=0.9.")


class _HagerZhang:
    """One search of Hager & Zhang: keeps a bracket [a, b] with φ(a) ≤ φ(0) + ε, φ'(a) < 0 ≤ φ'(b)."""

    def __init__(self, phi: Phi, zero: _End, c1: float, c2: float, noise: float, left: int) -> None:
        self.phi, self.zero, self.c1, self.c2, self.left = phi, zero, c1, c2, left
        self.ceiling = zero.value + noise
        self.evaluations = 0
        self.best, self.done = zero, False

    def at(self, alpha: float) -> _End:
        self.evaluations += 1
        end = _End(alpha, *self.phi(alpha))
        if not _finite(end.value, end.slope):
            return end
        slope0 = self.zero.slope
        wolfe = end.value <= self.zero.value + self.c1 * alpha * slope0 and end.slope >= self.c2 * slope0
        approximate = end.value <= self.ceiling and self.c2 * slope0 <= end.slope <= (2 * self.c1 - 1) * slope0
        self.done = alpha > 0 and (wolfe or approximate)
        if self.done or end.value < self.best.value:
            self.best = end
        return end

    def spent(self) -> bool:
        return self.done or self.evaluations >= self.left

    def low(self, end: _End) -> bool:
        return _finite(end.value, end.slope) and end.value <= self.ceiling

    def bracket(self, alpha: float, largest: float) -> tuple[_End, _End]:
        below = self.zero
        finite_below = largest
        while True:
            end = self.at(alpha)
            if self.spent():
                return below, end
            if not _finite(end.value, end.slope):
                finite_below, alpha = alpha, below.alpha + SHRINK_INTO_FINITE * (alpha - below.alpha)
            elif end.slope >= 0:
                return below, end
            elif not self.low(end):
                return self.bisect(self.zero, end)
            else:
                below = end
                alpha = min(alpha * 5.0, 0.5 * (alpha + finite_below))

    def bisect(self, a: _End, b: _End) -> tuple[_End, _End]:
        """Halve [a, b], where b is too high though it still descends, until its end rises (their U3)."""
        while not self.spent():
            middle = self.at(0.5 * (a.alpha + b.alpha))
            if _finite(middle.value, middle.slope) and middle.slope >= 0:
                return a, middle
            a, b = (middle, b) if self.low(middle) else (a, middle)
        return a, b

    def update(self, a: _End, b: _End, alpha: float) -> tuple[_End, _End]:
        if not a.alpha < alpha < b.alpha or self.spent():
            return a, b
        end = self.at(alpha)
        if self.done:
            return a, b
        if _finite(end.value, end.slope) and end.slope >= 0:
            return a, end
        return (end, b) if self.low(end) else self.bisect(a, end)

    def secant_squared(self, a: _End, b: _End) -> tuple[_End, _End]:
        c = _secant(a, b)
        lower, upper = self.update(a, b, c)
        again = math.nan
        if c == upper.alpha:
            again = _secant(b, upper)
        elif c == lower.alpha:
            again = _secant(a, lower)
        return self.update(lower, upper, again) if math.isfinite(again) else (lower, upper)

    def run(self, alpha: float, largest: float) -> Search:
        a, b = self.bracket(alpha, largest)
        while not self.spent():
            width = b.alpha - a.alpha
            if width <= 1e-16 * b.alpha:
                break
            a, b = self.secant_squared(a, b)
            if b.alpha - a.alpha > 0.66 * width:
                a, b = self.update(a, b, 0.5 * (a.alpha + b.alpha))
        return Search(self.best.alpha, self.best.value, self.best.slope, self.evaluations, self.done)


def _secant(a: _End, b: _End) -> float:
    return (a.alpha * b.slope - b.alpha * a.slope) / (b.slope - a.slope) if b.slope != a.slope else math.nan


def hager_zhang(
    phi: Phi,
    start: tuple[float, float] | None = None,
    *,
    alpha: float = 1.0,
    c1: float = 0.1,
    c2: float = 0.9,
    noise: float | None = None,
    largest: float = 1e20,
    max_evaluations: int = 60,
) -> Search:
    """Find a step that meets Wolfe's or the approximate Wolfe conditions, by brackets, double secants and bisection.

    Near a minimum values differ by less than their rounding while slopes still tell: the approximate conditions then
    reach a gradient of the order of ε where Armijo's test stops at √ε.

    Args:
        phi, start, alpha, largest, max_evaluations: as for :func:`strong_wolfe`.
        c1, c2: 0.1 and 0.9 of Hager & Zhang, with c₁ < ½.
        noise: ε; 1e-6 |φ(0)| of Hager & Zhang if None.

    Raises:
        ValueError: as for :func:`strong_wolfe`, and where c₁ ≥ ½.

    Example:
        >>> round(hager_zhang(lambda a: ((a - 3) ** 2, 2 * (a - 3)), c2=0.2).alpha, 12)
        3.0
    """
    _constants(c1, c2)
    if c1 >= 0.5:
        raise ValueError(f"hager_zhang: c1={c1} must lie below ½ for the approximate conditions. Use c1=0.1.")
    zero = _End(0.0, *_started(phi, start))
    allowed = 1e-6 * abs(zero.value) if noise is None else noise
    return _HagerZhang(phi, zero, c1, c2, allowed, max_evaluations).run(min(alpha, largest), largest)
