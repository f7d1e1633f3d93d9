"""Penalty on the distance of a matrix from orthonormal columns.

    ‖WᵀW − I‖²_F,    gradient 4 W (WᵀW − I);    double-sided: + ‖WWᵀ − I‖²_F

Zero exactly when every singular value is 1. W of shape (out, in) with in > out has no orthonormal columns: its least
value is then in − out, and |n − m| for both sides of any n × m matrix. A penalty of weight β only comes near the
constraint, with an error of order 1/β. As WᵀW and WWᵀ have the same non-zero eigenvalues,

    ‖WᵀW − I‖²_F = ‖WWᵀ − I‖²_F + in − out

so the double-sided penalty has exactly twice the gradient of the single one (Bansal et al. present it as another), and
either is computed from the smaller of the two products.
Source: Bansal, Chen & Wang 2018, eq. 1 and 2, arXiv:1810.09102.
"""

import torch
from torch import Tensor

from trainwell.errors import InputError


def orthogonality_penalty(weight: Tensor, *, double_sided: bool = False) -> Tensor:
    """‖WᵀW − I‖²_F, a scalar.

    Args:
        weight: shape (out, in, *kernel), two dimensions or more; the rest is flattened into ``in``.
        double_sided: add ‖WWᵀ − I‖²_F.

    Raises:
        InputError: for a vector or a scalar.

    Example:
        >>> orthogonality_penalty(2 * torch.eye(3))  # (4 − 1)² three times
        tensor(27.)
    """
    if weight.dim() < 2:
        raise InputError(
            f"orthogonality_penalty: weight of shape {tuple(weight.shape)} is no matrix.", "Leave biases and gains out."
        )
    matrix = weight.flatten(1)
    out, inputs = matrix.shape
    small = _from_identity(matrix @ matrix.mT if out < inputs else matrix.mT @ matrix)
    return 2 * small + abs(inputs - out) if double_sided else small + max(0, inputs - out)


def _from_identity(gram: Tensor) -> Tensor:
    return (gram - torch.eye(len(gram), dtype=gram.dtype, device=gram.device)).square().sum()
