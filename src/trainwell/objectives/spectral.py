"""Largest singular value of a weight, and its distance from an isometry, by power iteration.

    σ_max = max_v ‖Wv‖,     gap = ‖WᵀW − I‖₂ = max_i |σ_i² − 1|,     ‖v‖ = 1

The vector is found without gradients and then held: d‖Av‖ = uᵀ dA v with u = Av/‖Av‖ is the derivative at the maximum,
for the maximum does not change to first order with v. Every iteration comes nearer from below. The start is random and
new at every call, so that no state has to be stored and none can stick to a vector that has ceased to be the largest.
The gap is taken on W's shorter side: on the longer one WᵀW has eigenvalues 0, and the maximum would never be below 1.
Source: Bansal, Chen & Wang 2018 (SRIP), eq. 7 and its two iterations, arXiv:1810.09102; Yoshida & Miyato 2017, §3.2.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from trainwell.errors import InputError


def largest_singular_value(weight: Tensor, *, iterations: int = 10, generator: torch.Generator | None = None) -> Tensor:
    """σ_max of the weight as a matrix (out, rest), a scalar that can be differentiated; never above the exact one.

    Args:
        weight: shape (out, ...), two dimensions or more.
        iterations: multiplications by WᵀW, each two matrix–vector products. 10 leave 2 to 3 % on square Gaussian
            matrices of width 64 to 1024 (1 would leave 20 %, 100 leave 0.1 %).
        generator: source of the start; the global one if None.

    Raises:
        InputError: for a vector, or fewer than one iteration.

    Example:
        >>> largest_singular_value(torch.diag(torch.tensor([3.0, 1.0, 0.5])))
        tensor(3.)
    """
    matrix = _checked("largest_singular_value", weight, iterations)
    vector = _dominant(lambda v: matrix.mT @ (matrix @ v), matrix, iterations, generator)
    return torch.linalg.vector_norm(matrix @ vector)


def isometry_gap(weight: Tensor, *, iterations: int = 2, generator: torch.Generator | None = None) -> Tensor:
    """max |σ² − 1| over the singular values, a scalar that can be differentiated; never above the exact one.

    Args:
        weight: shape (out, ...), two dimensions or more.
        iterations: power iterations; 2 is the paper's choice.
        generator: source of the start; the global one if None.

    Raises:
        InputError: for a vector, or fewer than one iteration.
    """
    matrix = _checked("isometry_gap", weight, iterations)
    if matrix.shape[1] > matrix.shape[0]:
        matrix = matrix.mT

    def apply(v: Tensor) -> Tensor:
        return matrix.mT @ (matrix @ v) - v

    return torch.linalg.vector_norm(apply(_dominant(apply, matrix, iterations, generator)))


@torch.no_grad()
def _dominant(
    apply: Callable[[Tensor], Tensor], matrix: Tensor, iterations: int, generator: torch.Generator | None
) -> Tensor:
    """Unit vector near the eigenvector of largest absolute eigenvalue of the symmetric map ``apply``."""
    start = torch.randn(matrix.shape[1], dtype=matrix.dtype, device=matrix.device, generator=generator)
    vector = torch.nn.functional.normalize(start, dim=0)
    for _ in range(iterations):
        vector = torch.nn.functional.normalize(apply(vector), dim=0)
    return vector


def _checked(name: str, weight: Tensor, iterations: int) -> Tensor:
    if weight.dim() < 2:
        raise InputError(f"{name}: weight of shape {tuple(weight.shape)} is no matrix.", "Leave biases and gains out.")
    if iterations < 1:
        raise InputError(f"{name}: iterations is {iterations}.", "Give 1 or more.")
    return weight.flatten(1)
