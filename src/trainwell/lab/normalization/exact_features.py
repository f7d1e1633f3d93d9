"""Features whose mean and covariance in the sample are exactly the given ones, and descent on least squares.

f(w, b) = (1/2n) Σ (x_iᵀw + b − y_i)² has the Hessian H = X̃ᵀX̃/n, X̃ with a column of ones for the bias b. Gradient
descent at its best rate 2/(λ_max + λ_min) multiplies the error along both extreme eigenvectors by ±(κ−1)/(κ+1).
"""

import math

import numpy as np

from trainwell.theory.gaussian import Array

PRECISION = 1e-6
"""Factor on the error after which descent has arrived."""


def exact_features(n: int, mean: Array, covariance: Array, generator: np.random.Generator) -> Array:
    """Draw n normal samples, shape (n, d), and map them so that their own moments are these."""
    raw = generator.standard_normal((n, len(mean)))
    centred = raw - raw.mean(0)
    whitened = np.linalg.solve(np.linalg.cholesky(centred.T @ centred / n), centred.T).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def hessian(X: Array) -> Array:
    """H of least squares with a bias, shape (d + 1, d + 1)."""
    with_ones = np.column_stack([X, np.ones(len(X))])
    return with_ones.T @ with_ones / len(X)


def condition(X: Array) -> float:
    """κ of H."""
    return float(np.linalg.cond(hessian(X)))


def descent_steps(X: Array, most: int = 300_000) -> int:
    """Count the steps of gradient descent until the error is 1e-6 of the first one.

    The targets are without noise, of coefficients that are wrong along the steepest and the flattest direction alike,
    which is the worst start; the rate is the best one.

    Args:
        X: features, shape (n, d).
        most: steps after which it gives up.
    """
    H = hessian(X)
    values, vectors = np.linalg.eigh(H)
    goal = vectors[:, 0] + vectors[:, -1]
    rate, towards, w = 2 / (values[0] + values[-1]), H @ goal, np.zeros(len(H))
    far = PRECISION * np.linalg.norm(goal)
    for step in range(1, most + 1):
        w = w - rate * (H @ w - towards)
        error = w - goal
        if error @ error <= far * far:
            return step
    return most


def predicted_steps(kappa: float) -> int:
    """ln ε / ln((κ−1)/(κ+1)), rounded up: about (κ/2) ln(1/ε); one step for κ = 1."""
    if kappa - 1 < 1e-9:
        return 1
    return math.ceil(math.log(PRECISION) / math.log1p(-2 / (kappa + 1)))
