"""The line searches: their conditions on functions of every shape, finite ends, and what they refuse."""

import math

import pytest

from trainwell.optim import backtracking, hager_zhang, strong_wolfe

SEARCHES = pytest.mark.parametrize("search", [backtracking, strong_wolfe, hager_zhang], ids=lambda s: s.__name__)


def more_thuente_1(a, beta=2.0):
    return -a / (a * a + beta), (a * a - beta) / (a * a + beta) ** 2


def more_thuente_2(a, beta=0.004):
    return (a + beta) ** 5 - 2 * (a + beta) ** 4, 5 * (a + beta) ** 4 - 8 * (a + beta) ** 3


def more_thuente_3(a, beta=0.01, length=39):
    phi0, slope0 = (1 - a, -1.0) if a <= 1 - beta else (a - 1, 1.0) if a >= 1 + beta else (
        ((a - 1) ** 2 / beta + beta) / 2, (a - 1) / beta)  # fmt: skip
    w = length * math.pi / 2
    return phi0 + 2 * (1 - beta) / (length * math.pi) * math.sin(w * a), slope0 + (1 - beta) * math.cos(w * a)


def barrier(a):  # x − log(1 − x) …: no number from 1 on
    return (-2 * a - math.log(1 - a), -2 + 1 / (1 - a)) if a < 1 else (math.nan, math.nan)


def overflowing(a):
    return (math.inf, math.inf) if a > 500 else (math.cosh(a - 3), math.sinh(a - 3))


FUNCTIONS = {
    "more_thuente_1": more_thuente_1,
    "more_thuente_2": more_thuente_2,
    "more_thuente_3": more_thuente_3,
    "barrier": barrier,
    "overflowing": overflowing,
    "parabola": lambda a: ((a - 7) ** 2, 2 * (a - 7)),
    "kink": lambda a: (abs(a - 2), math.copysign(1.0, a - 2)),
}
FIRST = [1e-3, 1e-1, 1.0, 10.0, 1e3]


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "kink"])
def test_strong_wolfe_holds_from_any_first_step(name, first):
    phi, c1, c2 = FUNCTIONS[name], 1e-4, 0.1
    value0, slope0 = phi(0.0)
    found = strong_wolfe(phi, alpha=first, c1=c1, c2=c2)
    assert found.satisfied and found.evaluations <= 40
    assert phi(found.alpha) == (found.value, found.slope)
    assert found.value <= value0 + c1 * found.alpha * slope0 and abs(found.slope) <= -c2 * slope0


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", [n for n in FUNCTIONS if n != "kink"])
def test_hager_zhang_meets_one_of_its_pairs(name, first):
    phi, c1, c2, noise = FUNCTIONS[name], 0.1, 0.9, 1e-6
    value0, slope0 = phi(0.0)
    found = hager_zhang(phi, alpha=first, c1=c1, c2=c2, noise=noise)
    assert found.satisfied and found.slope >= c2 * slope0
    wolfe = found.value <= value0 + c1 * found.alpha * slope0
    assert wolfe or (found.value <= value0 + noise and found.slope <= (2 * c1 - 1) * slope0)


@pytest.mark.parametrize("first", FIRST)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_backtracking_meets_armijo_and_the_step_before_did_not(name, first):
    phi, c1 = FUNCTIONS[name], 0.3
    value0, slope0 = phi(0.0)
    found = backtracking(phi, alpha=first, c1=c1)
    assert found.satisfied and found.value <= value0 + c1 * found.alpha * slope0
    if found.alpha < first:
        longer = phi(2 * found.alpha)[0]
        assert not longer <= value0 + c1 * 2 * found.alpha * slope0 or not math.isfinite(phi(10 * found.alpha)[0])


def test_armijo_on_one_sample_ends_at_two_over_its_square():  # O07: ½ (xᵀw − y)², accepted iff t ≤ 2 (1 − c)/‖x‖²
    square, residual = 5.0, 3.0  # φ(t) = ½ r² (1 − t ‖x‖²)²

    def phi(t):
        return 0.5 * residual**2 * (1 - t * square) ** 2, -(residual**2) * square * (1 - t * square)

    edge = 2 * (1 - 1e-4) / square
    assert backtracking(phi, alpha=edge * 0.9999).alpha == edge * 0.9999
    assert backtracking(phi, alpha=edge * 1.0001).alpha == edge * 1.0001 / 2
    assert backtracking(phi, alpha=1.01 / square, c1=0.5).alpha < 1.01 / square  # c = ½: Kaczmarz's step is the edge


@SEARCHES
def test_a_direction_that_rises_is_refused(search):
    with pytest.raises(ValueError, match="not negative"):
        search(lambda a: (a, 1.0))
    with pytest.raises(ValueError, match="loss is nan"):
        search(lambda a: (math.nan, -1.0))


@SEARCHES
def test_every_search_ends_where_nothing_is_lower(search):  # control: the slope lies
    for phi in (lambda a: (float(a > 0), -1.0), lambda a: (0.0 if a == 0 else math.nan, -1.0)):
        found = search(phi)
        assert not found.satisfied and found.alpha == 0 and found.value == 0 and found.evaluations <= 61


@SEARCHES
def test_an_unbounded_line_ends(search):
    found = search(lambda a: (-a, -1.0))
    assert math.isfinite(found.alpha) and found.alpha > 0 and found.evaluations <= 61


def test_approximate_wolfe_goes_beyond_the_rounding_of_values():
    # 1 + (a − 1)² 1e-18 is 1 in float64: only slopes tell
    def phi(a):
        return 1.0 + 1e-18 * (a - 1) ** 2, 2e-18 * (a - 1)

    assert abs(hager_zhang(phi, alpha=100.0, c1=0.01, c2=0.1).alpha - 1) < 0.11
    assert backtracking(phi, alpha=100.0, noise=1e-14).alpha == 100.0  # control: without slopes nothing is told


def test_constants_that_leave_no_step_are_refused():
    with pytest.raises(ValueError, match="0 < c1 < c2 < 1"):
        strong_wolfe(more_thuente_1, c1=0.9, c2=0.1)
    with pytest.raises(ValueError, match="below ½"):
        hager_zhang(more_thuente_1, c1=0.6)
