"""The shapes of schedules: the factor on the peak rate after k of the n steps that follow the warm-up.

Each is a function ``shape(k, n, end, **options)`` of 0 ≤ k ≤ n, with q = k / n. ``end`` is the factor at the last step;
where an option fixes the decay by itself, ``end`` is the least factor.

    inverse          1 / (1 + βk)                       Robbins–Monro: Σ η = ∞, Σ η² < ∞
    inverse_sqrt     1 / √(1 + βk)                      Σ η = ∞, Σ η² = ∞ (the log n of non-strongly convex bounds)
    exponential      e^{−βk}                            Σ η < ∞: may stop at a distance from the minimum
    staircase        γ^{milestones passed}
    polynomial       end + (1 − end) (1 − q)^power
    cosine_restarts  end + (1 − end) (1 + cos π q_i) / 2,   q_i within cycle i; cycles lengthen by ``mult``
    wsd              1 until q = 1 − cooldown, then down to ``end`` as 1 − √r, 1 − r or (1 + cos πr) / 2
    growing          g^{k + ½},  g = α⁻²

β is the option ``decay``; absent, it is such that the last factor is ``end`` (0.01 where that is 0).
Source: deck M, "Step size (learning rate, or LR) for SGD" (1/k: α/(1 + βk); exponential; staircase); Robbins & Monro
1951; Loshchilov & Hutter 2017, arXiv:1608.03983 (restarts, ``mult`` = 2); Hu et al. 2024, arXiv:2404.06395 (wsd);
Hägele et al. 2024, arXiv:2405.18392 (1 − √r, over the last fifth); He et al. 2016 (milestones at a half and three
quarters); Li & Arora 2020, arXiv:1910.07454 (growing).
"""

import math
from collections.abc import Sequence

from trainwell.optim.scheduling.growing_rate import contraction

LAST = 0.01  # factor that a decay without ``end`` and ``decay`` reaches: two of deck M's divisions by ten
LOG_LARGEST = 69.0  # of a growing rate: 1e30, beyond which float32 has no room for squares


def constant(k: float, n: float, end: float) -> float:
    """1."""
    return 1.0


def one_cycle(k: float, n: float, end: float) -> float:
    """The fall of half a cosine."""
    return end + (1.0 - end) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, k / n)))


def linear(k: float, n: float, end: float) -> float:
    """A straight fall."""
    return 1.0 - min(1.0, k / n) * (1.0 - end)


def inverse(k: float, n: float, end: float, *, decay: float | None = None) -> float:
    """1 / (1 + βk)."""
    if decay is not None:
        return max(end, 1.0 / (1.0 + decay * k))
    return 1.0 / (1.0 + (1.0 / (end or LAST) - 1.0) * min(1.0, k / n))


def inverse_sqrt(k: float, n: float, end: float, *, decay: float | None = None) -> float:
    """1 / √(1 + βk)."""
    if decay is not None:
        return max(end, (1.0 + decay * k) ** -0.5)
    return (1.0 + ((end or LAST) ** -2 - 1.0) * min(1.0, k / n)) ** -0.5


def exponential(k: float, n: float, end: float, *, decay: float | None = None) -> float:
    """e^{−βk}."""
    if decay is not None:
        return max(end, math.exp(-decay * k))
    return float((end or LAST) ** min(1.0, k / n))


def staircase(
    k: float,
    n: float,
    end: float,
    *,
    gamma: float = 0.1,
    milestones: Sequence[float] = (0.5, 0.75),
    every: float | None = None,
) -> float:
    """γ to the number of milestones passed: shares of the n steps, or one ``every`` so many steps."""
    passed = math.floor(k / every) if every else sum(k >= share * n for share in milestones)
    return max(end, gamma**passed)


def polynomial(k: float, n: float, end: float, *, power: float = 2.0) -> float:
    """(1 − q)^power."""
    return float(end + (1.0 - end) * (1.0 - min(1.0, k / n)) ** power)


def cosine_restarts(
    k: float, n: float, end: float, *, cycles: int = 3, mult: float = 2.0, first: float | None = None
) -> float:
    """Half cosines that start anew: ``cycles`` of them fill the n steps, or the first one has ``first`` steps."""
    if first is None and k >= n:
        return end
    length = first or n / sum(mult**i for i in range(cycles))
    while k >= length:
        k, length = k - length, length * mult
    return one_cycle(k, length, end)


def wsd(k: float, n: float, end: float, *, cooldown: float = 0.2, form: str = "sqrt") -> float:
    """Warm-up, stable, decay: the decay takes the share ``cooldown`` of the n steps."""
    r = (min(1.0, k / n) - (1.0 - cooldown)) / cooldown
    if r <= 0.0:
        return 1.0
    fall = {"sqrt": 1.0 - math.sqrt(r), "linear": 1.0 - r, "cosine": 0.5 * (1.0 + math.cos(math.pi * r))}[form]
    return end + (1.0 - end) * fall


def growing(
    k: float,
    n: float,
    end: float,
    *,
    growth: float | None = None,
    weight_decay: float = 5e-4,
    lr: float = 0.1,
    momentum: float = 0.9,
) -> float:
    """g^{k + ½}, at most 1e30; g from the decay that it stands for, see ``growing_rate``."""
    log = math.log(growth) if growth is not None else -2.0 * math.log(contraction(lr, weight_decay, momentum))
    return math.exp(min(LOG_LARGEST, log * (k + 0.5)))


def plateau(k: float, n: float, end: float) -> float:
    """1: what follows depends on the loss, see ``PlateauSchedule``."""
    return 1.0
