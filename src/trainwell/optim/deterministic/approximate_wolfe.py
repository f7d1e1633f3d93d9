"""Hager & Zhang's line search: Wolfe's conditions, or approximate ones that do without small differences of values.

With φ(0) and φ'(0) < 0 it returns an α > 0 where one of

    Wolfe                φ(α) ≤ φ(0) + c₁ α φ'(0)  and  c₂ φ'(0) ≤ φ'(α)
    approximate Wolfe    φ(α) ≤ φ(0) + ε           and  c₂ φ'(0) ≤ φ'(α) ≤ (2 c₁ − 1) φ'(0)

Source: Hager & Zhang 2005, "A new conjugate gradient method with guaranteed descent and an efficient line search",
SIAM J. Optim. 16(1).
"""

import math

from trainwell.optim.deterministic.line_searches import (
    SHRINK_INTO_FINITE,
    End,
    Phi,
    Search,
    both_finite,
    check_constants,
    started_at,
)


class _HagerZhang:
    """One search of Hager & Zhang: keeps a bracket [a, b] with φ(a) ≤ φ(0) + ε, φ'(a) < 0 ≤ φ'(b)."""

    def __init__(self, phi: Phi, zero: End, c1: float, c2: float, noise: float, left: int) -> None:
        self.phi, self.zero, self.c1, self.c2, self.left = phi, zero, c1, c2, left
        self.ceiling = zero.value + noise
        self.evaluations = 0
        self.best, self.done = zero, False

    def at(self, alpha: float) -> End:
        self.evaluations += 1
        end = End(alpha, *self.phi(alpha))
        if not both_finite(end.value, end.slope):
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

    def low(self, end: End) -> bool:
        return both_finite(end.value, end.slope) and end.value <= self.ceiling

    def bracket(self, alpha: float, largest: float) -> tuple[End, End]:
        below = self.zero
        finite_below = largest
        while True:
            end = self.at(alpha)
            if self.spent():
                return below, end
            if not both_finite(end.value, end.slope):
                finite_below, alpha = alpha, below.alpha + SHRINK_INTO_FINITE * (alpha - below.alpha)
            elif end.slope >= 0:
                return below, end
            elif not self.low(end):
                return self.bisect(self.zero, end)
            else:
                below = end
                alpha = min(alpha * 5.0, 0.5 * (alpha + finite_below))

    def bisect(self, a: End, b: End) -> tuple[End, End]:
        """Halve [a, b], where b is too high though it still descends, until its end rises (their U3)."""
        while not self.spent():
            middle = self.at(0.5 * (a.alpha + b.alpha))
            if both_finite(middle.value, middle.slope) and middle.slope >= 0:
                return a, middle
            a, b = (middle, b) if self.low(middle) else (a, middle)
        return a, b

    def update(self, a: End, b: End, alpha: float) -> tuple[End, End]:
        if not a.alpha < alpha < b.alpha or self.spent():
            return a, b
        end = self.at(alpha)
        if self.done:
            return a, b
        if both_finite(end.value, end.slope) and end.slope >= 0:
            return a, end
        return (end, b) if self.low(end) else self.bisect(a, end)

    def secant_squared(self, a: End, b: End) -> tuple[End, End]:
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


def _secant(a: End, b: End) -> float:
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
        >>> round(hager_zhang(lambda a: ((a - 3) ** 2, 2 * (a - 3)), c1=0.4, c2=0.5).alpha, 12)
        3.0
    """
    check_constants(c1, c2)
    if c1 >= 0.5:
        raise ValueError(f"hager_zhang: c1={c1} must lie below ½ for the approximate conditions. Use c1=0.1.")
    zero = End(0.0, *started_at(phi, start))
    allowed = 1e-6 * abs(zero.value) if noise is None else noise
    return _HagerZhang(phi, zero, c1, c2, allowed, max_evaluations).run(min(alpha, largest), largest)
