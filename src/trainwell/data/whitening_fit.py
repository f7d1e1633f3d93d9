"""From a covariance to the matrix that rotates or whitens: PCA, PCA whitening, ZCA, Cholesky.

With Σ = V Λ Vᵀ, λ₁ ≥ λ₂ ≥ … and λ' = λ + ε λ₁, each maps x to y = W (x − μ):

    pca          W = Vᵀ                 covariance Λ: uncorrelated, κ as before
    pca_whiten   W = Λ'^{-1/2} Vᵀ       covariance Λ/Λ', the identity as ε → 0
    zca          W = V Λ'^{-1/2} Vᵀ     the same; symmetric, of all whitenings the closest to the input
    cholesky     W = L⁻¹, L Lᵀ = Σ'     the same; lower triangular: each feature less what the earlier ones explain

Deck M's whitening, U of X = U S Vᵀ, has covariance I/m and not I; the factor √m that it lacks is in Λ = S²/m here.
Directions with λ ≤ 1e-12 λ₁ (singular value ≤ 1e-6 of the largest) hold rounding errors only: PCA leaves them out and
ZCA maps them to 0; "S + eps" would blow them up. Cholesky leaves none out: there
ε alone keeps them small.
ε is relative, so that the data's unit does not matter; variances below ε λ₁ are damped instead of raised to 1.
The condition number κ is that of the covariance, λ_max/λ_min over the directions that are not numerically zero.
Sources: LeCun et al. 1998, "Efficient BackProp", §4.3; Kessy, Lewin & Strimmer 2018, arXiv:1512.00809 (the choices).
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular
from threadpoolctl import threadpool_limits

from trainwell.data.covariance import Covariance
from trainwell.errors import InputError

WHITENINGS: tuple[str, ...] = ("pca", "pca_whiten", "zca", "cholesky")
ZERO = 1e-12
"""Eigenvalues up to this share of the largest are numerically zero."""


@dataclass(frozen=True)
class Rotation:
    """y = matrix (x − μ), x ≈ μ + inverse y.

    Args:
        matrix: W, shape (K, F).
        inverse: shape (F, K); inverse · matrix is the identity, up to the directions that were left out.
        condition_before, condition_after: κ of the covariance of x and of y.
        zero_directions: how many directions of x have no variance.
        explained: share of the variance of x in the directions that were kept.
    """

    matrix: np.ndarray
    inverse: np.ndarray
    condition_before: float
    condition_after: float
    zero_directions: int
    explained: float


def rotation(found: Covariance, name: str, *, eps: float = 1e-10, components: float | None = None) -> Rotation:
    """The matrix of one of WHITENINGS.

    Args:
        found: of the training rows.
        name: pca, pca_whiten, zca or cholesky.
        eps: ε > 0, dimensionless: share of the largest eigenvalue that is added to all.
        components: for pca and pca_whiten: how many directions to keep (an int), or which share of the variance they
            must hold (a float in (0, 1)); all that are not numerically zero if None.

    Raises:
        InputError: if ε ≤ 0, there are fewer rows or directions than components, or nothing varies.
    """
    check_options(name, eps, components)
    with threadpool_limits(1, user_api="blas"):
        values, vectors = np.linalg.eigh(found.covariance())
        values, vectors = values[::-1], vectors[:, ::-1]
        condition, zero = condition_number(values)
        if zero == len(values):
            raise InputError(
                f"{name}: none of the {len(values)} features varies in the training part.", "Give features that vary."
            )
        kept = _kept(values, len(values) - zero, components, found.count)
        signs = np.sign(vectors[np.abs(vectors).argmax(0), np.arange(len(values))])
        vectors = (vectors * signs)[:, :kept]
        damped = values[:kept] + eps * values[0]
        if name == "cholesky":
            matrix, inverse = _cholesky(found, float(values[0]), eps)
        elif name == "zca":
            matrix = (vectors / np.sqrt(damped)) @ vectors.T
            inverse = (vectors * np.sqrt(damped)) @ vectors.T
        else:
            size = np.sqrt(damped) if name == "pca_whiten" else np.ones(kept)
            matrix, inverse = vectors.T / size[:, None], vectors * size
    after = condition_number(values[:kept] / (1.0 if name == "pca" else damped))[0]
    explained = float(values[:kept].sum() / values[values > 0].sum())
    return Rotation(np.ascontiguousarray(matrix), inverse, condition, after, zero, explained)


def condition_number(eigenvalues: np.ndarray) -> tuple[float, int]:
    """λ_max/λ_min over the eigenvalues that are not numerically zero (nan without any), and how many are.

    Example:
        >>> condition_number(np.array([8.0, 2.0, 1e-17]))
        (4.0, 1)
    """
    real = eigenvalues[eigenvalues > ZERO * max(float(eigenvalues.max()), 0.0)]
    return (float(real.max() / real.min()) if len(real) else float("nan")), len(eigenvalues) - len(real)


def check_options(name: str, eps: float, components: float | None) -> None:
    """Refuse an ε or a number of components that means nothing."""
    if not 0 < eps < np.inf:
        raise InputError(
            f"{name}: eps={eps} must be greater than 0, or a direction without variance would be divided by 0.",
            "Use 1e-10, or more to damp directions that are mostly noise.",
        )
    if components is None:
        return
    if name not in ("pca", "pca_whiten"):
        raise InputError(
            f"{name}: components={components} is an option of pca and pca_whiten; {name} keeps all features.",
            "Leave components out, or use pca_whiten.",
        )
    whole = isinstance(components, int | np.integer) and not isinstance(components, bool)
    if (whole and components < 1) or (not whole and not 0 < components <= 1):
        raise InputError(
            f"{name}: components={components} is neither a number of directions ≥ 1 nor a share of the variance.",
            "Use a whole number, or a share in (0, 1].",
        )


def _kept(values: np.ndarray, rank: int, components: float | None, rows: int) -> int:
    if components is None:
        return rank
    if not isinstance(components, int | np.integer):
        shares = np.cumsum(values[:rank]) / values[:rank].sum()
        return min(int(np.searchsorted(shares, components - 1e-12)) + 1, rank)
    if components > rank:
        raise InputError(
            f"pca: components={components}, but {rows} training rows of {len(values)} features vary in {rank} "
            "directions only.",
            f"Use components ≤ {rank}.",
        )
    return int(components)


def _cholesky(found: Covariance, largest: float, eps: float) -> tuple[np.ndarray, np.ndarray]:
    size = len(found.mean)
    shifted = found.covariance()
    shifted[np.diag_indices(size)] += eps * largest
    try:
        lower = np.linalg.cholesky(shifted)
        if np.diag(lower).min() ** 2 < size * np.finfo(np.float64).eps * largest:  # a rounding error, not a variance
            raise np.linalg.LinAlgError
    except np.linalg.LinAlgError:
        raise InputError(
            f"cholesky: the covariance of {size} features is singular up to rounding, and eps={eps:g} is too small "
            "to change that.",
            "Use eps ≥ 1e-10, or zca, which leaves such directions out.",
        ) from None
    return solve_triangular(lower, np.eye(size), lower=True), lower
