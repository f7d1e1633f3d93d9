"""Symmetric linear operators: matrices of which only products with vectors are known.

``A @ v`` takes a vector (n,), columns (n, k), or a list of tensors in the parameters' shapes, and returns the same.
Vectors are cast to the operator's dtype and device, and results have these. A product leaves no graph.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import torch
from scipy.sparse.linalg import LinearOperator as ScipyOperator
from torch import Tensor

from trainwell.curvature.flat import flatten, unflatten
from trainwell.errors import InputError


class LinearOperator(ABC):
    """A symmetric n × n matrix A, known by its products.

    Attributes:
        size: n.
        dtype, device: of products.
        shapes: of the tensors that a vector is made of; one of shape (n,) if there is no structure.
    """

    def __init__(self, shapes: Sequence[torch.Size], dtype: torch.dtype, device: torch.device) -> None:
        self.shapes = tuple(torch.Size(shape) for shape in shapes)
        self.dtype, self.device = dtype, device
        self.size = sum(shape.numel() for shape in self.shapes)

    @property
    def shape(self) -> tuple[int, int]:
        """(n, n)."""
        return (self.size, self.size)

    @abstractmethod
    def _matmat(self, columns: Tensor) -> Tensor:
        """A times (n, k), in the operator's dtype and on its device."""

    @overload
    def __matmul__(self, other: Tensor) -> Tensor: ...
    @overload
    def __matmul__(self, other: list[Tensor] | tuple[Tensor, ...]) -> list[Tensor]: ...
    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, list | tuple):
            if [t.shape for t in other] != list(self.shapes):
                raise InputError(
                    f"{type(self).__name__} @ a list of shapes {[tuple(t.shape) for t in other]}: its tensors have "
                    f"shapes {[tuple(s) for s in self.shapes]}.",
                    "Give one tensor a parameter, in the order of the parameters.",
                )
            return unflatten(self @ flatten([t.detach() for t in other]), self.shapes)
        if other.dim() not in (1, 2) or len(other) != self.size:
            raise InputError(
                f"{type(self).__name__} of size {self.size} @ a tensor of shape {tuple(other.shape)}.",
                f"Give ({self.size},), ({self.size}, k), or a list of tensors in the parameters' shapes.",
            )
        columns = other.detach().to(self.device, self.dtype).reshape(self.size, -1)
        return self._matmat(columns).reshape(other.shape)

    def __add__(self, other: "LinearOperator") -> "LinearOperator":
        from trainwell.curvature.combinations import Sum

        return Sum(self, other)

    def __mul__(self, factor: float) -> "LinearOperator":
        from trainwell.curvature.combinations import Scaled

        return Scaled(self, factor)

    __rmul__ = __mul__

    def dense(self) -> Tensor:
        """The matrix (n, n), by n products: for small n."""
        return self @ torch.eye(self.size, dtype=self.dtype, device=self.device)

    def to_scipy(self) -> ScipyOperator:
        """For ``scipy.sparse.linalg``: on the CPU, float64 where the operator is, else float32."""
        double = self.dtype == torch.float64

        def product(array: np.ndarray) -> np.ndarray:
            columns = torch.from_numpy(np.ascontiguousarray(array).reshape(self.size, -1))
            result = (self @ columns).to("cpu", torch.float64 if double else torch.float32)
            return result.numpy().reshape(array.shape)

        dtype = np.dtype(np.float64 if double else np.float32)
        return ScipyOperator(
            shape=self.shape, matvec=product, matmat=product, rmatvec=product, rmatmat=product, dtype=dtype
        )
