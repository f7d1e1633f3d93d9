"""The Lanczos process with full reorthogonalization.

From a unit vector q₁, A Q_m = Q_m T_m + β_m q_{m+1} e_mᵀ with Q_mᵀQ_m = I and T_m tridiagonal (diagonal α,
off-diagonal β). Eigenpairs (θ, s) of T_m give Ritz pairs (θ, Q_m s) of A with residual ‖A Q s − θ Q s‖ = β_m |s_m|.
Every new vector is orthogonalized twice against all earlier ones: in floating point the plain recurrence loses
orthogonality as soon as a pair converges, and then finds it again and again.
Memory: n · (steps + 1) numbers. Arithmetic: one product and 8 n · steps operations a step.
Source: Lanczos 1950; Paige 1971; Parlett, "The Symmetric Eigenvalue Problem", ch. 13.
"""

from collections.abc import Callable

import numpy as np
import torch
from scipy.linalg import eigh_tridiagonal
from torch import Tensor

from trainwell.curvature.operators import LinearOperator
from trainwell.errors import JobError

BLOCK = 16  # basis vectors that memory is taken for at a time


class Krylov:
    """A Krylov space that grows by one vector a step.

    Args:
        product: v ↦ A v.
        start: shape (n,), any length > 0.
        locked: orthonormal rows (l, n) that the space stays orthogonal to: the process is then that of (I−P) A (I−P).
    """

    def __init__(self, product: Callable[[Tensor], Tensor], start: Tensor, locked: Tensor | None = None) -> None:
        self._product, self._locked = product, locked
        self._blocks: list[Tensor] = []
        self.alphas: list[float] = []
        self.betas: list[float] = []
        self.scale = 0.0  # largest |α| + β seen: the size of A, for what counts as zero
        self._next: Tensor | None = self._normalized(start)

    @property
    def steps(self) -> int:
        return len(self.alphas)

    @property
    def exhausted(self) -> bool:
        """Is the space invariant, so that no further step is possible?"""
        return self._next is None

    def _normalized(self, w: Tensor) -> Tensor | None:
        w = self._orthogonal(w / w.norm())
        norm = w.norm()
        return None if norm < 1e3 * torch.finfo(w.dtype).eps else w / norm

    def _orthogonal(self, w: Tensor) -> Tensor:
        for _ in range(2):
            if self._locked is not None:
                w = w - self._locked.T @ (self._locked @ w)
            done = self.steps
            for i, block in enumerate(self._blocks):
                rows = block[: done - i * BLOCK]
                w = w - rows.T @ (rows @ w)
        return w

    def step(self) -> None:
        """Add one vector.

        Raises:
            JobError: if the product is not finite.
        """
        q = self._next
        assert q is not None
        if self.steps % BLOCK == 0:
            self._blocks.append(q.new_empty(BLOCK, len(q)))
        self._blocks[-1][self.steps % BLOCK] = q
        w = self._product(q)
        alpha = float(q @ w)
        if not np.isfinite(alpha):
            raise JobError(
                f"Lanczos: the product of step {self.steps + 1} is not finite.",
                "The loss or its derivatives overflow at these parameters: go back to earlier ones, or use float64.",
            )
        self.alphas.append(alpha)
        w = self._orthogonal(w)
        beta = float(w.norm())
        self.scale = max(self.scale, abs(alpha) + beta)
        self.betas.append(beta)
        room = len(q) - self.steps - (0 if self._locked is None else len(self._locked))
        small = 10 * torch.finfo(w.dtype).eps * self.scale
        self._next = None if room <= 0 or beta <= small else w / beta
        if self._next is None:
            self.betas[-1] = 0.0

    def ritz(self) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (m,), ascending, and eigenvectors (m, m) in columns, of T_m."""
        values, vectors = eigh_tridiagonal(np.array(self.alphas), np.array(self.betas[:-1]))
        return values, vectors

    def lift(self, coordinates: np.ndarray) -> Tensor:
        """Q s for columns s (m, k), as rows (k, n)."""
        basis = torch.cat(self._blocks)[: self.steps]
        return torch.from_numpy(np.ascontiguousarray(coordinates.T)).to(basis) @ basis


def working(operator: LinearOperator) -> tuple[torch.dtype, Callable[[Tensor], Tensor]]:
    """The dtype of a process on an operator, float32 or better, and its product in that dtype."""
    dtype = torch.promote_types(operator.dtype, torch.float32)
    return dtype, lambda v: (operator @ v).to(dtype)


def random_vector(operator: LinearOperator, generator: torch.Generator, dtype: torch.dtype) -> Tensor:
    """Standard normal (n,), drawn on the generator's device."""
    return torch.randn(operator.size, generator=generator, dtype=dtype, device=generator.device).to(operator.device)
