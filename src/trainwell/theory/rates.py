"""How fast methods converge on quadratics, before anything runs.

f(x) = ½ xᵀHx with eigenvalues of H in [μ, L], κ = L/μ. A method's error shrinks by ρ a step, in the limit:

    gradient descent   η = 2/(L+μ)                                              ρ = (κ−1)/(κ+1)
    the same, safe     η = 1/L                                                  ρ = 1 − 1/κ
    heavy ball         η = 4/(√L+√μ)²,  β = ((√κ−1)/(√κ+1))²                    ρ = (√κ−1)/(√κ+1)
    Nesterov           η = 1/L,         β = (√κ−1)/(√κ+1)                       ρ = 1 − 1/√κ
    Nesterov, tuned    η = 4/(3L+μ),    β = (√(3κ+1)−2)/(√(3κ+1)+2)             ρ = 1 − 2/√(3κ+1)
    CG (a bound)       ‖e_k‖_H ≤ ‖e_0‖_H / T_k((κ+1)/(κ−1)) ≤ 2 ρᵏ ‖e_0‖_H,     ρ = (√κ−1)/(√κ+1)
    Newton             ρ = 0: one step

T_k is Chebyshev's polynomial. The accelerated ones have a double root there: from rest the slowest error is
(1 + b k) ρᵏ, with b = 1 + ρ for heavy ball (at λ = L) and (1 − β)/(1 + β) for Nesterov, and a measured slope approaches
ln ρ like 1/k. Sources: Polyak 1964; Nesterov 2004, theorem 2.2.3; Lessard, Recht & Packard
2016, proposition 1, arXiv:1408.3595; Nocedal & Wright 2006 §5.1. Noise floors: Bottou, Curtis & Nocedal 2018, §4.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Rate:
    """The best parameters of a method on quadratics and what they give.

    Attributes:
        lr: η, in the unit 1/curvature; 1 for Newton, nan for CG (which finds its own).
        momentum: β.
        factor: ρ, by which the error shrinks a step in the limit.
        growth: b, where ρ is a double root: from rest the slowest error is (1 + b k) ρᵏ times its start; else 0.
    """

    lr: float
    momentum: float
    factor: float
    growth: float = 0.0

    def steps(self, tolerance: float) -> int:
        """Steps from rest until every error is at most ``tolerance``, in (0, 1), of its start: (1 + b k) ρᵏ."""
        if not 0 < tolerance < 1:
            raise ValueError(f"steps: tolerance {tolerance} must lie between 0 and 1.")
        if self.factor <= 0:
            return 1
        k = math.log(tolerance) / math.log(self.factor)
        for _ in range(100 if self.growth else 0):
            k = (math.log(tolerance) - math.log1p(k * self.growth)) / math.log(self.factor)
        return math.ceil(k)


def _gd(L: float, mu: float) -> Rate:
    return Rate(2 / (L + mu), 0.0, (L - mu) / (L + mu))


def _gd_safe(L: float, mu: float) -> Rate:
    return Rate(1 / L, 0.0, 1 - mu / L)


def _heavy_ball(L: float, mu: float) -> Rate:
    top, bottom = math.sqrt(L) - math.sqrt(mu), math.sqrt(L) + math.sqrt(mu)
    return Rate(4 / bottom**2, (top / bottom) ** 2, top / bottom, 1 + top / bottom)


def _nesterov(L: float, mu: float) -> Rate:
    root = math.sqrt(L / mu)
    return Rate(1 / L, (root - 1) / (root + 1), 1 - 1 / root, 1 / root)


def _nesterov_tuned(L: float, mu: float) -> Rate:
    root = math.sqrt(3 * L / mu + 1)
    return Rate(4 / (3 * L + mu), (root - 2) / (root + 2), 1 - 2 / root, 2 / root)


def _cg(L: float, mu: float) -> Rate:
    return Rate(math.nan, 0.0, _heavy_ball(L, mu).factor)


def _newton(L: float, mu: float) -> Rate:
    return Rate(1.0, 0.0, 0.0)


QUADRATIC_RATES: dict[str, Callable[[float, float], Rate]] = {
    "gd": _gd,
    "gd_safe": _gd_safe,
    "heavy_ball": _heavy_ball,
    "nesterov": _nesterov,
    "nesterov_tuned": _nesterov_tuned,
    "cg": _cg,
    "newton": _newton,
}


def quadratic_rate(method: str, smoothness: float, strong_convexity: float) -> Rate:
    """The best parameters and the factor of a method on quadratics with curvatures in [μ, L].

    Args:
        method: a key of ``QUADRATIC_RATES``.
        smoothness: L, the largest eigenvalue of the Hessian.
        strong_convexity: μ, the smallest; 0 < μ ≤ L.

    Raises:
        ValueError: for another method, or not 0 < μ ≤ L.

    Example:
        >>> [round(quadratic_rate(m, 100.0, 1.0).factor, 5) for m in ("gd", "heavy_ball", "nesterov", "nesterov_tuned")]
        [0.9802, 0.81818, 0.9, 0.88472]
    """
    if method not in QUADRATIC_RATES:
        raise ValueError(f"quadratic_rate: no method is called {method!r}. Choose one of {', '.join(QUADRATIC_RATES)}.")
    if not 0 < strong_convexity <= smoothness < math.inf:
        raise ValueError(f"quadratic_rate: 0 < μ ≤ L must hold, but μ = {strong_convexity} and L = {smoothness}.")
    return QUADRATIC_RATES[method](smoothness, strong_convexity)


def quadratic_factor(curvatures: ArrayLike, lr: float, momentum: float = 0.0, *, nesterov: bool = False) -> float:
    """ρ of any (η, β) on these curvatures: the largest |root| of each one's two-term recursion.

    Along an eigenvector with curvature λ the error obeys, with q = 1 − ηλ,

        heavy ball   e_{k+1} = (q + β) e_k − β e_{k−1}          Nesterov   e_{k+1} = q (1 + β) e_k − q β e_{k−1}

    It converges where ρ < 1; for heavy ball that is 0 < η < 2 (1 + β)/λ.
    """
    q = 1 - lr * np.asarray(curvatures, dtype=np.float64).reshape(-1)
    half = 0.5 * (q * (1 + momentum) if nesterov else q + momentum)
    last = q * momentum if nesterov else np.full_like(q, momentum)
    root = np.sqrt((half * half - last).astype(np.complex128))
    return float(np.maximum(np.abs(half + root), np.abs(half - root)).max())


def chebyshev_bound(condition_number: float, steps: int) -> float:
    """1 / T_k((κ+1)/(κ−1)): the largest share of the error in H's norm that CG can leave after k steps, κ ≥ 1.

    No method whose steps stay in the span of past gradients has a smaller worst case.
    """
    if condition_number <= 1:
        return 0.0 if steps else 1.0
    root = math.sqrt(condition_number)
    growth = steps * math.log((root + 1) / (root - 1))  # T_k(x) = cosh(k arcosh x), and this is k arcosh x
    return 2 * math.exp(-growth) / (1 + math.exp(-2 * growth))


def sgd_noise_floor(lr: float, curvature: float, gradient_variance: float) -> float:
    """E w² of SGD on ½ λ w² in the limit: η s² / (λ (2 − ηλ)), with gradient noise of variance s²; ∞ for η ≥ 2/λ.

    The excess loss is λ/2 times that: about ¼ η s² · 2/(2 − ηλ), so in proportion to the rate.
    """
    left = 2 - lr * curvature
    return lr * gradient_variance / (curvature * left) if left > 0 else math.inf


def least_squares_noise_floor(lr: float, dimensions: int, batch_size: int, label_variance: float) -> float:
    """E ‖w − w*‖² in the limit on least squares with isotropic Gaussian inputs: η σ² (d/B) / (2 − η (1 + (d+1)/B)).

    ∞ beyond the largest stable rate 2 / (1 + (d+1)/B).
    """
    left = 2 - lr * (1 + (dimensions + 1) / batch_size)
    return lr * label_variance * dimensions / batch_size / left if left > 0 else math.inf
