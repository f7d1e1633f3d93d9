"""Operators made of operators: the identity, diagonals, sums, multiples, damping A + λ I, and D A D.

Each is symmetric if its parts are, and positive semi-definite if its parts (and factors, and λ) are.
"""

from functools import reduce

import torch
from torch import Tensor

from trainwell.curvature.operators import LinearOperator
from trainwell.errors import InputError


class Identity(LinearOperator):
    """I, of the shapes, dtype and device of ``like``."""

    def __init__(self, like: LinearOperator) -> None:
        super().__init__(like.shapes, like.dtype, like.device)

    def _matmat(self, columns: Tensor) -> Tensor:
        return columns.clone()


class Diagonal(LinearOperator):
    """diag(entries), entries of shape (n,).

    Example:
        >>> Diagonal(torch.tensor([1.0, 2.0])) @ torch.tensor([3.0, 3.0])
        tensor([3., 6.])
    """

    def __init__(self, entries: Tensor, shapes: tuple[torch.Size, ...] | None = None) -> None:
        super().__init__(shapes or (entries.shape,), entries.dtype, entries.device)
        self.entries = entries.detach()

    def _matmat(self, columns: Tensor) -> Tensor:
        return self.entries[:, None] * columns


class Sum(LinearOperator):
    """A + B + …, of one size."""

    def __init__(self, *parts: LinearOperator) -> None:
        first = parts[0]
        if any(part.size != first.size for part in parts):
            raise InputError(
                f"Sum of operators of sizes {', '.join(str(part.size) for part in parts)}.",
                "Build all of them over the same parameters.",
            )
        dtype = reduce(torch.promote_types, (part.dtype for part in parts))
        super().__init__(first.shapes, dtype, first.device)
        self.parts = parts

    def _matmat(self, columns: Tensor) -> Tensor:
        result = torch.zeros_like(columns)
        for part in self.parts:
            result += part @ columns
        return result


class Scaled(LinearOperator):
    """factor · A."""

    def __init__(self, operator: LinearOperator, factor: float) -> None:
        super().__init__(operator.shapes, operator.dtype, operator.device)
        self.operator, self.factor = operator, factor

    def _matmat(self, columns: Tensor) -> Tensor:
        return self.factor * (self.operator @ columns)


class Damped(LinearOperator):
    """A + damping · I: every eigenvalue is moved by ``damping``."""

    def __init__(self, operator: LinearOperator, damping: float) -> None:
        super().__init__(operator.shapes, operator.dtype, operator.device)
        self.operator, self.damping = operator, damping

    def _matmat(self, columns: Tensor) -> Tensor:
        return (self.operator @ columns).add_(columns, alpha=self.damping)


class Congruent(LinearOperator):
    """D A D with D = diag(scale), ``scale`` of shape (n,).

    With scale = p^(−1/2) its eigenvalues are those of diag(p)⁻¹ A, the matrix that a preconditioned method sees.
    """

    def __init__(self, operator: LinearOperator, scale: Tensor) -> None:
        super().__init__(operator.shapes, operator.dtype, operator.device)
        if scale.shape != (self.size,):
            raise InputError(
                f"Congruent: scale has shape {tuple(scale.shape)}, the operator {self.size} rows.",
                f"Give a scale of shape ({self.size},).",
            )
        self.operator, self.scale = operator, scale.detach().to(self.device, self.dtype)[:, None]

    def _matmat(self, columns: Tensor) -> Tensor:
        return self.scale * (self.operator @ (self.scale * columns))
