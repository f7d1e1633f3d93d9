"""Test error of least squares: the classical formula and the double descent.

Gaussian features x ∈ Rᵖ, n samples, y = xᵀβ + ε, Var ε = σ², ‖β‖² = r². Excess risk E‖β̂ − β‖²_Σ of the minimum-norm
least-squares solution for isotropic features, exact at finite n:

    p < n − 1:   σ² p/(n − p − 1)
    p > n + 1:   r² (1 − n/p) + σ² n/(p − n − 1),        ∞ for |p − n| ≤ 1.

As n → ∞ with γ = p/n: σ²γ/(1−γ) and r²(1−1/γ) + σ²/(γ−1). Features left out add their energy to σ². Claims G08, R05
(decks G, T; they show the figure only).
Sources: Hastie, Montanari, Rosset & Tibshirani 2022, theorem 1, arXiv:1903.08560;
Belkin, Hsu & Xu 2020, arXiv:1903.07571.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


class LeastSquaresErrors(NamedTuple):
    """Mean squared errors, noise included: of the training rows, and of new ones."""

    train: float
    test: float


def min_norm_risk(features: ArrayLike, samples: int, *, signal: float = 1.0, noise: float = 1.0) -> Array:
    """Return the mean excess risk of min-norm least squares on isotropic Gaussian features.

    Args:
        features: p, 1 or more; any shape.
        samples: n, 1 or more.
        signal: r² = ‖β‖², 0 or above.
        noise: σ², 0 or above; the energy of features left out belongs to it.

    Raises:
        ValueError: if a count or an energy is out of range.

    Example:
        >>> min_norm_risk([50, 90, 100, 110, 200, 1000], 100, signal=5.0).round(3).tolist()
        [1.02, 10.0, inf, 11.566, 3.51, 4.611]
    """
    p = np.asarray(features, dtype=np.float64)
    if samples < 1 or not (p >= 1).all() or signal < 0 or noise < 0:
        raise ValueError(
            f"min_norm_risk: features={features!r} and samples={samples} must be 1 or more, signal={signal} and "
            f"noise={noise} 0 or above."
        )
    n, gap = samples, p - samples
    close = np.abs(gap) <= 1
    room = np.where(close, np.inf, np.abs(gap) - 1)
    variance = noise * np.where(close, np.inf if noise > 0 else 0.0, np.minimum(p, n) / room)
    return variance + signal * np.maximum(0.0, 1 - n / p)


def best_overparameterization(signal: float, noise: float) -> float:
    """Return the γ = p/n > 1 of least asymptotic risk beyond the peak: √S/(√S − 1), S = r²/σ²; ∞ for S ≤ 1.

    Example:
        >>> round(best_overparameterization(5.0, 1.0), 3)
        1.809
    """
    root = (signal / noise) ** 0.5 if noise > 0 else np.inf
    if root == np.inf:
        return 1.0
    return float(root / (root - 1)) if root > 1 else float("inf")


def least_squares_errors(features: int, samples: int, *, noise: float = 1.0) -> LeastSquaresErrors:
    """Return the mean training and test error of ordinary least squares, p < n − 1: σ²(1 − p/n) and σ²(1 + p/(n−p−1)).

    Their difference is the generalization gap of claim R05; σ² is noise and whatever the features can't represent.

    Raises:
        ValueError: unless 0 ≤ p < n − 1.

    Example:
        >>> [round(x, 4) for x in least_squares_errors(20, 100)]
        [0.8, 1.2532]
    """
    if not 0 <= features < samples - 1:
        raise ValueError(
            f"least_squares_errors: features < samples − 1 must hold, but {features} and {samples} are given."
        )
    return LeastSquaresErrors(noise * (1 - features / samples), noise * (1 + features / (samples - features - 1)))


def unfinished_descent(eigenvalues: ArrayLike, distances: ArrayLike, lr: float, steps: ArrayLike) -> Array:
    """Return ½ Σ λ_i (1 − η λ_i)^{2t} a_i²: what the loss of gradient descent lacks after t steps (R05's convergence).

    Args:
        eigenvalues: λ of the Hessian.
        distances: a_i, of the start from the minimum, along the eigenvectors.
        lr: η.
        steps: t, any shape.
    """
    curvature, start = np.asarray(eigenvalues, dtype=np.float64), np.asarray(distances, dtype=np.float64)
    left = np.abs(1 - lr * curvature) ** (2 * np.asarray(steps, dtype=np.float64)[..., None])
    return 0.5 * (left * curvature * start**2).sum(-1)
