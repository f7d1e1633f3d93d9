"""Condition numbers of least squares by how the features are prepared.

H = X̃ᵀX̃/n with the bias column. Closed forms:

    two standardized features of correlation ρ     eigenvalues 1 ± ρ:  κ = (1+|ρ|)/(1−|ρ|)
    scales a, b and correlation ρ                  eigenvalues of [[a², ρab], [ρab, b²]]
    a bias and one feature N(m, 1)                 eigenvalues of [[1, m], [m, 1+m²]]
    whitened                                       κ = 1

Standardizing divides by the diagonal: κ(standardized) ≤ d · min over diagonal scalings of κ (van der Sluis 1969); it
can be larger than before. κ(H) = κ(X)². Claims N01, N02 (decks T, M, R, G; T writes κ(X) for κ(H)).
Source: LeCun et al. 1998, "Efficient BackProp" §4.3; Kessy, Lewin & Strimmer 2018, arXiv:1512.00809.
"""

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


def correlated_condition(rho: float, scales: tuple[float, float] = (1.0, 1.0)) -> float:
    """Return κ of two centred features of correlation ρ and these standard deviations.

    Args:
        rho: in (−1, 1).
        scales: positive.

    Raises:
        ValueError: if ρ or a scale is out of range.

    Example:
        >>> [round(correlated_condition(0.5, scales)) for scales in ((1, 100), (1, 1))]
        [13334, 3]
    """
    a, b = scales
    if not (-1 < rho < 1 and a > 0 and b > 0):
        raise ValueError(f"correlated_condition: ρ={rho} must lie in (−1, 1) and scales={scales} be positive.")
    return _symmetric_condition(a * a, b * b, a * b * (1 - rho * rho) ** 0.5)


def uncentred_condition(mean: float) -> float:
    """Return κ of a bias and one feature of this mean and variance 1.

    Example:
        >>> [round(uncentred_condition(m)) for m in (0, 3, 10)]
        [1, 119, 10402]
    """
    return _symmetric_condition(1.0, 1 + mean * mean, 1.0)


def whitening_matrix(covariance: ArrayLike, *, zca: bool = True, tolerance: float = 1e-12) -> Array:
    """Return W with W Σ Wᵀ = I on the space that Σ spans: Σ^{−1/2} (ZCA) or Λ^{−1/2}Dᵀ (PCA), Σ = DΛDᵀ.

    Args:
        covariance: Σ, symmetric, shape (d, d).
        zca: the symmetric root, closest to the identity; else the rotated one, without the dropped directions.
        tolerance: directions with an eigenvalue below it times the largest are dropped, not divided by nearly 0.
    """
    values, basis = np.linalg.eigh(np.asarray(covariance, dtype=np.float64))
    keep = values > tolerance * values[-1]
    rotated = basis[:, keep].T / np.sqrt(values[keep])[:, None]
    return basis[:, keep] @ rotated if zca else rotated[::-1]


def newton_schulz_eigenvalues(eigenvalues: ArrayLike, steps: int) -> Array:
    """Return the whitened covariance's eigenvalues after iterative normalization: λ_N p_T² with p ← ½(3p − p³λ_N).

    λ_N = λ/Σλ and p_0 = 1; p grows by 3/2 a step until near λ_N^{−1/2}, so T grows like log_{2.25}(Σλ/λ_min).
    Claim N17 (deck M). Source: Huang et al. 2019, algorithm 1, arXiv:1904.03441.

    Args:
        eigenvalues: λ of the covariance, positive.
        steps: T.

    Example:
        >>> [float(np.abs(newton_schulz_eigenvalues(np.ones(64), T) - 1).max().round(5)) for T in (5, 8)]
        [0.41361, 0.00021]
    """
    scaled = np.asarray(eigenvalues, dtype=np.float64)
    scaled = scaled / scaled.sum()
    p = np.ones_like(scaled)
    for _ in range(steps):
        p = 0.5 * (3 * p - p**3 * scaled)
    return scaled * p * p


def _symmetric_condition(first: float, second: float, root: float) -> float:
    """κ of a 2 × 2 matrix with this diagonal and determinant root²; the small eigenvalue without cancellation."""
    half = (first + second) / 2
    largest = half + max(0.0, half * half - root * root) ** 0.5
    return (largest / root) ** 2
