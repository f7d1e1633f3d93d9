"""Eigenvalues of the factors of a preconditioner, for matrices that LAPACK's divide and conquer gives up on."""

import torch
from torch import Tensor


def symmetric_eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues, ascending and clamped at 0, and eigenvectors in columns of positive semi-definite matrices.

    In the matrix's own precision; where that does not converge (float32, far from full rank: inputs that are always
    zero, as the border of MNIST's pictures), in float64, and by singular values where that does not either.

    Args:
        matrix: shape (…, n, n), finite, symmetric up to rounding.
    """
    largest = matrix.abs().amax((-2, -1), keepdim=True).clamp_min(torch.finfo(matrix.dtype).tiny)
    scale = torch.ldexp(torch.ones_like(largest), torch.frexp(largest).exponent - 1)  # a power of two rounds nothing
    scaled = matrix / scale
    try:
        values, vectors = torch.linalg.eigh(scaled)
    except torch.linalg.LinAlgError:
        try:
            values, vectors = torch.linalg.eigh(scaled.double())
        except torch.linalg.LinAlgError:
            vectors, values, _ = torch.linalg.svd(scaled.double())
            values, vectors = values.flip(-1), vectors.flip(-1)
    return values.to(matrix.dtype).clamp_min(0) * scale.squeeze(-1), vectors.to(matrix.dtype)
