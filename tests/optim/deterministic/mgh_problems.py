"""Test problems of Moré, Garbow & Hillstrom 1981, "Testing Unconstrained Optimization Software", ACM TOMS 7(1).

Each is f(x) = Σ rᵢ(x)² with the standard starting point and the minima that the paper lists, all local ones; where six
published digits are too few for 1e-6, more digits are those at which Newton's method ends (the paper's number rounds
them). Minima at infinity are listed with the value they approach. ``residuals`` are written from the paper's formulas.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TestProblem:
    """A least-squares problem: name, number in the paper, r(x), x₀, and the values of f at its minima."""

    __test__ = False

    name: str
    number: int
    residuals: Callable[[Tensor], Tensor]
    start: tuple[float, ...]
    minima: tuple[float, ...]

    def x0(self, dtype: torch.dtype = torch.float64) -> Tensor:
        return torch.tensor(self.start, dtype=dtype)

    def fun(self, x: Tensor) -> Tensor:
        return self.residuals(x).square().sum()

    def reached(self, value: float) -> bool:
        """Is the value within 1e-6 · max(1, |f*|) of a listed minimum?"""
        return any(abs(value - low) <= 1e-6 * max(1.0, abs(low)) for low in self.minima)


def _vector(text: str) -> Tensor:
    return torch.tensor([float(word) for word in text.split()], dtype=torch.float64)


def _count(m: int) -> Tensor:
    return torch.arange(1, m + 1, dtype=torch.float64)


def rosenbrock(x: Tensor) -> Tensor:
    odd, even = x[0::2], x[1::2]
    return torch.cat([10 * (even - odd**2), 1 - odd])


def freudenstein_roth(x: Tensor) -> Tensor:
    a, b = x
    return torch.stack([-13 + a + ((5 - b) * b - 2) * b, -29 + a + ((b + 1) * b - 14) * b])


def powell_badly_scaled(x: Tensor) -> Tensor:
    a, b = x
    return torch.stack([1e4 * a * b - 1, torch.exp(-a) + torch.exp(-b) - 1.0001])


def brown_badly_scaled(x: Tensor) -> Tensor:
    a, b = x
    return torch.stack([a - 1e6, b - 2e-6, a * b - 2])


def beale(x: Tensor) -> Tensor:
    a, b = x
    return torch.stack([y - a * (1 - b**i) for i, y in ((1, 1.5), (2, 2.25), (3, 2.625))])


def jennrich_sampson(x: Tensor) -> Tensor:
    i = _count(10)
    return 2 + 2 * i - (torch.exp(i * x[0]) + torch.exp(i * x[1]))


def helical_valley(x: Tensor) -> Tensor:
    a, b, c = x
    theta = torch.atan(b / a) / (2 * torch.pi) + (0.5 if float(a.detach()) < 0 else 0.0)
    return torch.stack([10 * (c - 10 * theta), 10 * (torch.sqrt(a**2 + b**2) - 1), c])


def bard(x: Tensor) -> Tensor:
    y = _vector(".14 .18 .22 .25 .29 .32 .35 .39 .37 .58 .73 .96 1.34 2.10 4.39")
    u = _count(15)
    v = 16 - u
    return y - (x[0] + u / (v * x[1] + torch.minimum(u, v) * x[2]))


def gaussian(x: Tensor) -> Tensor:
    y = _vector(".0009 .0044 .0175 .0540 .1295 .2420 .3521 .3989 .3521 .2420 .1295 .0540 .0175 .0044 .0009")
    t = (8 - _count(15)) / 2
    return x[0] * torch.exp(-x[1] * (t - x[2]) ** 2 / 2) - y


def meyer(x: Tensor) -> Tensor:
    y = _vector("34780 28610 23650 19630 16370 13720 11540 9744 8261 7030 6005 5147 4427 3820 3307 2872")
    t = 45 + 5 * _count(16)
    return x[0] * torch.exp(x[1] / (t + x[2])) - y


def box(x: Tensor) -> Tensor:
    t = 0.1 * _count(10)
    return torch.exp(-t * x[0]) - torch.exp(-t * x[1]) - x[2] * (torch.exp(-t) - torch.exp(-10 * t))


def powell_singular(x: Tensor) -> Tensor:
    a, b, c, d = x[0::4], x[1::4], x[2::4], x[3::4]
    return torch.cat([a + 10 * b, 5**0.5 * (c - d), (b - 2 * c) ** 2, 10**0.5 * (a - d) ** 2])


def wood(x: Tensor) -> Tensor:
    a, b, c, d = x
    return torch.stack([10 * (b - a**2), 1 - a, 90**0.5 * (d - c**2), 1 - c, 10**0.5 * (b + d - 2), 10**-0.5 * (b - d)])


def kowalik_osborne(x: Tensor) -> Tensor:
    y = _vector(".1957 .1947 .1735 .1600 .0844 .0627 .0456 .0342 .0323 .0235 .0246")
    u = _vector("4 2 1 .5 .25 .167 .125 .1 .0833 .0714 .0625")
    return y - x[0] * (u**2 + u * x[1]) / (u**2 + u * x[2] + x[3])


def brown_dennis(x: Tensor) -> Tensor:
    t = _count(20) / 5
    return (x[0] + t * x[1] - torch.exp(t)) ** 2 + (x[2] + x[3] * torch.sin(t) - torch.cos(t)) ** 2


def osborne_1(x: Tensor) -> Tensor:
    y = _vector(
        ".844 .908 .932 .936 .925 .908 .881 .850 .818 .784 .751 .718 .685 .658 .628 .603 .580 .558 .538 .522 .506 "
        ".490 .478 .467 .457 .448 .438 .431 .424 .420 .414 .411 .406"
    )
    t = 10 * (_count(33) - 1)
    return y - (x[0] + x[1] * torch.exp(-t * x[3]) + x[2] * torch.exp(-t * x[4]))


def biggs_exp6(x: Tensor) -> Tensor:
    t = 0.1 * _count(13)
    y = torch.exp(-t) - 5 * torch.exp(-10 * t) + 3 * torch.exp(-4 * t)
    return x[2] * torch.exp(-t * x[0]) - x[3] * torch.exp(-t * x[1]) + x[5] * torch.exp(-t * x[4]) - y


def osborne_2(x: Tensor) -> Tensor:
    y = _vector(
        "1.366 1.191 1.112 1.013 .991 .885 .831 .847 .786 .725 .746 .679 .608 .655 .616 .606 .602 .626 .651 .724 .649 "
        ".649 .694 .644 .624 .661 .612 .558 .533 .495 .500 .423 .395 .375 .372 .391 .396 .405 .428 .429 .523 .562 .607 "
        ".653 .672 .708 .633 .668 .645 .632 .591 .559 .597 .625 .739 .710 .729 .720 .636 .581 .428 .292 .162 .098 .054"
    )
    t = (_count(65) - 1) / 10
    peaks = [x[i] * torch.exp(-((t - x[i + 7]) ** 2) * x[i + 4]) for i in (1, 2, 3)]
    return y - (x[0] * torch.exp(-t * x[4]) + peaks[0] + peaks[1] + peaks[2])


def watson(x: Tensor) -> Tensor:
    t = (_count(29) / 29)[:, None]
    j = torch.arange(len(x), dtype=torch.float64)
    slope = (j[1:] * x[1:] * t ** (j[1:] - 1)).sum(1)
    first = slope - (x * t**j).sum(1).square() - 1
    return torch.cat([first, x[:1], (x[1] - x[0] ** 2 - 1)[None]])


def penalty_1(x: Tensor) -> Tensor:
    return torch.cat([1e-5**0.5 * (x - 1), (x.square().sum() - 0.25)[None]])


def penalty_2(x: Tensor) -> Tensor:
    n = len(x)
    i = torch.arange(2, n + 1, dtype=torch.float64)
    y = torch.exp(i / 10) + torch.exp((i - 1) / 10)
    pairs = torch.exp(x[1:] / 10) + torch.exp(x[:-1] / 10) - y
    single = torch.exp(x[1:] / 10) - torch.exp(torch.tensor(-0.1, dtype=torch.float64))
    whole = (torch.arange(n, 0, -1, dtype=torch.float64) * x.square()).sum() - 1
    return torch.cat([(x[0] - 0.2)[None], 1e-5**0.5 * pairs, 1e-5**0.5 * single, whole[None]])


def variably_dimensioned(x: Tensor) -> Tensor:
    whole = (_count(len(x)) * (x - 1)).sum()
    return torch.cat([x - 1, whole[None], whole[None] ** 2])


def trigonometric(x: Tensor) -> Tensor:
    return len(x) - torch.cos(x).sum() + _count(len(x)) * (1 - torch.cos(x)) - torch.sin(x)


def brown_almost_linear(x: Tensor) -> Tensor:
    return torch.cat([x[:-1] + x.sum() - (len(x) + 1), x.prod()[None] - 1])


def _grid(n: int) -> tuple[float, Tensor]:
    h = 1 / (n + 1)
    return h, _count(n) * h


def discrete_boundary_value(x: Tensor) -> Tensor:
    h, t = _grid(len(x))
    zero = x.new_zeros(1)
    return 2 * x - torch.cat([zero, x[:-1]]) - torch.cat([x[1:], zero]) + h**2 * (x + t + 1) ** 3 / 2


def discrete_integral(x: Tensor) -> Tensor:
    h, t = _grid(len(x))
    cubed = (x + t + 1) ** 3
    kernel = torch.where(t[None, :] <= t[:, None], (1 - t[:, None]) * t[None, :], t[:, None] * (1 - t[None, :]))
    return x + h / 2 * (kernel @ cubed)


def broyden_tridiagonal(x: Tensor) -> Tensor:
    zero = x.new_zeros(1)
    return (3 - 2 * x) * x - torch.cat([zero, x[:-1]]) - 2 * torch.cat([x[1:], zero]) + 1


def broyden_banded(x: Tensor) -> Tensor:
    i = torch.arange(len(x))
    apart = i[None, :] - i[:, None]
    near = ((apart >= -5) & (apart <= 1) & (apart != 0)).to(x)
    return x * (2 + 5 * x**2) + 1 - near @ (x * (1 + x))


def linear_full_rank(x: Tensor) -> Tensor:
    m, total = 2 * len(x), x.sum()
    whole = torch.cat([x, x.new_zeros(m - len(x))])
    return whole - 2 / m * total - 1


def linear_rank_one(x: Tensor) -> Tensor:
    return _count(2 * len(x)) * (_count(len(x)) * x).sum() - 1


def chebyquad(x: Tensor) -> Tensor:
    n = len(x)
    before, now = torch.ones_like(x), 2 * x - 1
    rows = []
    for i in range(1, n + 1):
        integral = -1 / (i * i - 1) if i % 2 == 0 else 0.0
        rows.append(now.mean() - integral)
        before, now = now, 2 * (2 * x - 1) * now - before
    return torch.stack(rows)


def _boundary_start(n: int) -> tuple[float, ...]:
    return tuple(i / (n + 1) * (i / (n + 1) - 1) for i in range(1, n + 1))


OSBORNE_2 = (1.3, 0.65, 0.65, 0.7, 0.6, 3.0, 5.0, 7.0, 2.0, 4.5, 5.5)
PROBLEMS = [
    TestProblem("rosenbrock", 1, rosenbrock, (-1.2, 1.0), (0.0,)),
    TestProblem("freudenstein_roth", 2, freudenstein_roth, (0.5, -2.0), (0.0, 48.98425368)),
    TestProblem("powell_badly_scaled", 3, powell_badly_scaled, (0.0, 1.0), (0.0,)),
    TestProblem("brown_badly_scaled", 4, brown_badly_scaled, (1.0, 1.0), (0.0,)),
    TestProblem("beale", 5, beale, (1.0, 1.0), (0.0,)),
    TestProblem("jennrich_sampson", 6, jennrich_sampson, (0.3, 0.4), (124.3621824,)),
    TestProblem("helical_valley", 7, helical_valley, (-1.0, 0.0, 0.0), (0.0,)),
    TestProblem("bard", 8, bard, (1.0, 1.0, 1.0), (8.21487e-3, 17.4286)),
    TestProblem("gaussian", 9, gaussian, (0.4, 1.0, 0.0), (1.12793e-8,)),
    TestProblem("meyer", 10, meyer, (0.02, 4000.0, 250.0), (87.94585517,)),
    TestProblem("box", 12, box, (0.0, 10.0, 20.0), (0.0,)),
    TestProblem("powell_singular", 13, powell_singular, (3.0, -1.0, 0.0, 1.0), (0.0,)),
    TestProblem("wood", 14, wood, (-3.0, -1.0, -3.0, -1.0), (0.0,)),
    TestProblem("kowalik_osborne", 15, kowalik_osborne, (0.25, 0.39, 0.415, 0.39), (3.07505e-4, 1.02734e-3)),
    TestProblem("brown_dennis", 16, brown_dennis, (25.0, 5.0, -5.0, -1.0), (85822.20163,)),
    TestProblem("osborne_1", 17, osborne_1, (0.5, 1.5, -1.0, 0.01, 0.02), (5.46489e-5,)),
    TestProblem("biggs_exp6", 18, biggs_exp6, (1.0, 2.0, 1.0, 1.0, 1.0, 1.0), (5.65565e-3, 0.0)),
    TestProblem("osborne_2", 19, osborne_2, OSBORNE_2, (4.01377e-2,)),
    TestProblem("watson_6", 20, watson, (0.0,) * 6, (2.28767e-3,)),
    TestProblem("watson_9", 20, watson, (0.0,) * 9, (1.39976e-6,)),
    TestProblem("rosenbrock_10", 21, rosenbrock, (-1.2, 1.0) * 5, (0.0,)),
    TestProblem("rosenbrock_100", 21, rosenbrock, (-1.2, 1.0) * 50, (0.0,)),
    TestProblem("powell_singular_20", 22, powell_singular, (3.0, -1.0, 0.0, 1.0) * 5, (0.0,)),
    TestProblem("penalty_1", 23, penalty_1, (1.0, 2.0, 3.0, 4.0), (2.24997e-5,)),
    TestProblem("penalty_2", 24, penalty_2, (0.5,) * 4, (9.37629e-6,)),
    TestProblem("variably_dimensioned", 25, variably_dimensioned, tuple(1 - i / 10 for i in range(1, 11)), (0.0,)),
    TestProblem("trigonometric", 26, trigonometric, (0.1,) * 10, (0.0, 2.79506e-5)),
    TestProblem("brown_almost_linear", 27, brown_almost_linear, (0.5,) * 10, (0.0, 1.0)),
    TestProblem("discrete_boundary_value", 28, discrete_boundary_value, _boundary_start(10), (0.0,)),
    TestProblem("discrete_integral", 29, discrete_integral, _boundary_start(10), (0.0,)),
    TestProblem("broyden_tridiagonal", 30, broyden_tridiagonal, (-1.0,) * 10, (0.0,)),
    TestProblem("broyden_banded", 31, broyden_banded, (-1.0,) * 10, (0.0,)),
    TestProblem("linear_full_rank", 32, linear_full_rank, (1.0,) * 10, (10.0,)),
    TestProblem("linear_rank_one", 33, linear_rank_one, (1.0,) * 10, (20 * 19 / (2 * 41),)),
    TestProblem("chebyquad", 35, chebyquad, tuple(i / 9 for i in range(1, 9)), (3.51687e-3,)),
]
