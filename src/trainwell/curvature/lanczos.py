"""Eigenvalues and eigenvectors at an end of the spectrum, by Lanczos.

A Ritz pair is taken when its residual ‖A v − θ v‖ ≤ tolerance · max|θ|; an eigenvalue of A then lies within the
residual of θ, and θ itself errs by about residual²/gap. A Krylov space holds one vector of each eigenspace, so a second
copy of a degenerate eigenvalue is invisible to it: for k > 1 the process is repeated orthogonally to what was found,
until no eigenvalue beyond the k-th appears. That costs one more run, and one for each copy.
Source: Parlett, "The Symmetric Eigenvalue Problem", ch. 13 (deflation: §5.1).
"""

import itertools
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from scipy.sparse.linalg import eigsh
from torch import Tensor

from trainwell.curvature.krylov import Krylov, random_vector, working
from trainwell.curvature.operators import LinearOperator
from trainwell.errors import InputError

ENDS: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "largest": ("LA", lambda values: values),
    "smallest": ("SA", lambda values: -values),
    "magnitude": ("LM", np.abs),
}
CHECK_EVERY = 5  # steps between looks at the Ritz values, beyond the first 20
LEAST_STEPS = 8  # of a search beside found pairs: its start may hide a missing copy for the first few
FINEST = 20.0  # multiples of the dtype's eps: no tolerance finer than the products themselves


@dataclass(frozen=True)
class Eigenpairs:
    """Eigenvalues and eigenvectors.

    Attributes:
        values: shape (k,), float64, from the asked end inwards.
        vectors: shape (n, k), orthonormal columns, on the operator's device.
        residuals: shape (k,): ‖A v − θ v‖ as the process estimates it; an eigenvalue lies within this of each value.
        steps: products taken.
        converged: did all residuals reach the tolerance?
    """

    values: np.ndarray
    vectors: Tensor
    residuals: np.ndarray
    steps: int
    converged: bool


def eigenpairs(
    operator: LinearOperator,
    k: int = 1,
    which: str = "largest",
    *,
    tolerance: float = 1e-6,
    max_steps: int = 300,
    generator: torch.Generator | None = None,
    solver: str = "trainwell",
) -> Eigenpairs:
    """The k largest, smallest (algebraically) or largest in magnitude eigenvalues, with vectors.

    Args:
        operator: symmetric.
        k: from 1 to n.
        which: "largest", "smallest" or "magnitude".
        tolerance: of residuals, relative to the largest |θ|; at least 20 eps of the operator's dtype.
        max_steps: products of one run; memory n · max_steps numbers at most.
        generator: of the start vectors; seed 0 if None.
        solver: "trainwell", or "scipy" for ARPACK's restarted Lanczos (``eigsh``): less memory, more products, and
            k < n; it may miss copies of degenerate eigenvalues.

    Raises:
        InputError: if k, which or solver is out of range.
        JobError: if a product is not finite.

    Warns:
        RuntimeWarning: if ``max_steps`` did not suffice; the residuals say how far off the values may be.

    Example:
        >>> from trainwell.curvature import Diagonal
        >>> eigenpairs(Diagonal(torch.arange(6.0, dtype=torch.float64)), k=2).values.round(8)
        array([5., 4.])
    """
    if which not in ENDS or solver not in ("trainwell", "scipy"):
        raise InputError(
            f"eigenpairs: which={which!r}, solver={solver!r}.",
            f"which is one of {', '.join(ENDS)}; solver trainwell or scipy.",
        )
    if not 1 <= k <= operator.size:
        raise InputError(f"eigenpairs: k={k} of an operator of size {operator.size}.", "Ask for 1 ≤ k ≤ size.")
    generator = generator or torch.Generator().manual_seed(0)
    if solver == "scipy":
        return _by_scipy(operator, k, which, tolerance, max_steps, generator)
    tolerance = max(tolerance, FINEST * torch.finfo(operator.dtype).eps)
    search = _Search(operator, which, tolerance, max_steps, generator)
    search.add(k)
    while len(search.values) < k or (k > 1 and len(search.values) < operator.size and search.another(k)):
        if len(search.values) < k:  # the Krylov space was exhausted: degenerate eigenvalues
            search.add(k - len(search.values))
    order = np.argsort(-ENDS[which][1](np.array(search.values)), kind="stable")[:k]
    if not search.converged:
        warnings.warn(
            f"eigenpairs: {max_steps} steps left residuals up to {max(search.residuals):.2g} "
            f"(values up to {max(map(abs, search.values)):.3g}). Raise max_steps or tolerance.",
            RuntimeWarning,
            stacklevel=2,
        )
    rows = torch.stack(search.vectors)[torch.from_numpy(order).to(operator.device)]
    return Eigenpairs(
        np.array(search.values)[order], rows.T, np.array(search.residuals)[order], search.steps, search.converged
    )


class _Search:
    """Runs of Lanczos, each orthogonal to what the earlier ones found."""

    def __init__(
        self, operator: LinearOperator, which: str, tolerance: float, max_steps: int, generator: torch.Generator
    ) -> None:
        self._operator, self._tolerance, self._max_steps = operator, tolerance, max_steps
        self._key, self._generator = ENDS[which][1], generator
        self._dtype, self._product = working(operator)
        self.values: list[float] = []
        self.residuals: list[float] = []
        self.vectors: list[Tensor] = []
        self.steps, self.converged = 0, True

    def add(self, k: int) -> None:
        """Find up to k more pairs."""
        locked = torch.stack(self.vectors) if self.vectors else None
        start = random_vector(self._operator, self._generator, self._dtype)
        krylov = Krylov(self._product, start, locked)
        least = max(k, LEAST_STEPS if self.values else 1)
        while not krylov.exhausted and krylov.steps < self._max_steps:
            krylov.step()
            m = krylov.steps
            if (m <= 20 or m % CHECK_EVERY == 0) and m >= least and self._ends(krylov, k)[3]:
                break
        self.steps += krylov.steps
        values, vectors, residuals, converged = self._ends(krylov, k)
        self.converged &= converged
        self.values += values.tolist()
        self.residuals += residuals.tolist()
        self.vectors += list(krylov.lift(vectors))

    def _ends(self, krylov: Krylov, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool]:
        """Values (k,), coordinates (m, k) and residuals (k,) of the outermost Ritz pairs, and: are they converged?"""
        values, vectors = krylov.ritz()
        chosen = np.argsort(-self._key(values), kind="stable")[:k]
        residuals = krylov.betas[-1] * np.abs(vectors[-1, chosen])
        fine = bool(np.all(residuals <= self._tolerance * np.abs(values).max()))
        return values[chosen], vectors[:, chosen], residuals, fine

    def another(self, k: int) -> bool:
        """Look for one more; is it beyond the k-th, so that there may be yet another?"""
        size = float(np.abs(self.values).max())
        kth = float(np.sort(self._key(np.array(self.values)))[-k])
        self.add(1)
        return bool(self._key(np.array(self.values[-1:]))[0] > kth + self._tolerance * size)


def _by_scipy(
    operator: LinearOperator, k: int, which: str, tolerance: float, max_steps: int, generator: torch.Generator
) -> Eigenpairs:
    if k >= operator.size:
        raise InputError(
            f"eigenpairs: k={k} of size {operator.size} with solver='scipy'.", "Ask for k < size, or use 'trainwell'."
        )
    name, key = ENDS[which]
    plain = operator.to_scipy()
    products = itertools.count()

    def matvec(v: np.ndarray) -> np.ndarray:
        next(products)
        return plain.matvec(v)

    start = random_vector(operator, generator, torch.float64).cpu().numpy().astype(plain.dtype)
    counted = ScipyOperator(shape=operator.shape, matvec=matvec, dtype=plain.dtype)
    values, vectors = eigsh(counted, k, which=name, tol=tolerance, v0=start, maxiter=max_steps)
    order = np.argsort(-key(values))
    rows = torch.from_numpy(vectors[:, order].copy())
    residuals = ((operator @ rows).cpu().to(rows) - rows * torch.from_numpy(values[order]).to(rows)).norm(dim=0)
    return Eigenpairs(
        values[order].astype(np.float64), rows.to(operator.device), residuals.numpy(), next(products) + k, True
    )
