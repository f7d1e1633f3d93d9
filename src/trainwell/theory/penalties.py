"""What amounts to a ridge penalty in least squares: dropout, noise on the inputs, early stopping.

    dropout of inputs, drop probability p, inverted scaling:  E‖y − (X∘M/(1−p)) w‖² = ‖y − Xw‖² + p/(1−p) wᵀdiag(XᵀX)w
    noise N_ij of variance σ² on the inputs:                  E‖y − (X+N) w‖²     = ‖y − Xw‖² + n σ² ‖w‖²
    gradient descent on ‖y − Xw‖²/2n from 0, t steps:         mode s of XᵀX/n is filtered by 1 − (1 − ηs)ᵗ,
    ridge, penalty ½λ‖w‖² on the same loss:                   by s/(s + λ); matched at λ = 1/(ηt).

The first two are exact in expectation (fresh noise at every step); a fixed noisy copy is not ridge. The third is close,
not equal: the filters of gradient flow (1 − e^{−st}) and ridge differ by at most 0.2036, and flow's risk is at most
1.6862 times ridge's at λ = 1/t, for every X. Claims G01–G04 (decks G, M).
Sources: Srivastava et al. 2014 §9.1; Wager, Wang
& Liang 2013, arXiv:1307.1493; Bishop 1995; Ali, Kolter & Tibshirani 2019, theorem 1, arXiv:1810.10082.
"""

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


def ridge_solution(X: ArrayLike, y: ArrayLike, penalty: ArrayLike) -> Array:
    """Return argmin ‖y − Xw‖² + Σ penalty_j w_j².

    Args:
        X: shape (n, d).
        y: shape (n,) or (n, outputs).
        penalty: one number or one per column, 0 or above; see ``dropout_penalty`` and ``noise_penalty``.

    Raises:
        ValueError: if a penalty is negative.
    """
    rows = np.asarray(X, dtype=np.float64)
    weights = np.broadcast_to(np.asarray(penalty, dtype=np.float64), rows.shape[1:])
    if not (weights >= 0).all():
        raise ValueError(f"ridge_solution: penalty={penalty!r} must be 0 or above.")
    targets = np.asarray(y, dtype=np.float64)
    padded = np.concatenate([targets, np.zeros((rows.shape[1], *targets.shape[1:]))])
    return np.linalg.lstsq(np.concatenate([rows, np.diag(np.sqrt(weights))]), padded, rcond=None)[0]


def dropout_penalty(X: ArrayLike, drop: float) -> Array:
    """Return p/(1−p) Σ_i X_ij², one per column: the penalty to which dropout of inputs amounts on the summed loss.

    Args:
        X: shape (n, d).
        drop: p in [0, 1), the probability of a zero.

    Raises:
        ValueError: if p is outside [0, 1).
    """
    if not 0 <= drop < 1:
        raise ValueError(f"dropout_penalty: the drop probability {drop} must lie in [0, 1).")
    return drop / (1 - drop) * np.square(np.asarray(X, dtype=np.float64)).sum(0)


def noise_penalty(samples: int, variance: float) -> float:
    """Return n σ²: the penalty to which noise of variance σ² on the inputs amounts, on the summed loss."""
    return samples * variance


def descent_filter(eigenvalues: ArrayLike, lr: float, steps: ArrayLike) -> Array:
    """Return 1 − (1 − ηs)ᵗ: the share of each mode that gradient descent from 0 has learned; shapes broadcast."""
    return 1 - (1 - lr * np.asarray(eigenvalues, dtype=np.float64)) ** np.asarray(steps)


def ridge_filter(eigenvalues: ArrayLike, penalty: ArrayLike) -> Array:
    """Return s/(s + λ): the share of each mode that ridge keeps; shapes broadcast."""
    s = np.asarray(eigenvalues, dtype=np.float64)
    return s / (s + np.asarray(penalty, dtype=np.float64))


def stopping_penalty(lr: float, steps: int) -> float:
    """Return λ = 1/(ηt): the ridge penalty ½λ‖w‖² on ‖y − Xw‖²/2n that t steps amount to."""
    return 1 / (lr * steps)
