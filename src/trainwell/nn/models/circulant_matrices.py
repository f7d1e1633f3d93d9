"""Circulant matrices, and convolution as a product with one.

    C(c)_ij = c_{(i − j) mod n},    C(c) x = c ⊛ x = F⁻¹(F c ⊙ F x),    eigenvalues of C(c): F c

A circular convolution from c_in to c_out channels over a grid of ∏n pixels is a matrix of c_out·∏n rows and c_in·∏n
columns whose blocks are circulant (in each dimension: doubly block circulant for images). The Fourier transform takes
it apart: its singular values are those of the c_out × c_in matrices K̂(ω), over all frequencies ω, at a cost of
∏n·(c_in c_out min + log ∏n) instead of a cube of ∏n. With zero padding the matrix is Toeplitz, not circulant, and these
values only approximate its own. What decks call convolution is cross-correlation in frameworks, as here; it has the
same singular values.
Sources: deck G, structural constraints; Sedghi, Gupta & Long 2019, Theorem 6, arXiv:1805.10408.
"""

from collections.abc import Sequence

import torch
from torch import Tensor


def circulant_matrix(column: Tensor) -> Tensor:
    """Return the circulant matrix with this first column, shape (…, n, n) for (…, n): entry (i, j) is c_{(i−j) mod n}.

    Raises:
        ValueError: if the column has no entries.

    Example:
        >>> circulant_matrix(torch.tensor([1, 2, 3])).tolist()
        [[1, 3, 2], [2, 1, 3], [3, 2, 1]]
    """
    if column.dim() < 1 or column.shape[-1] < 1:
        raise ValueError(f"circulant_matrix: a column of shape {tuple(column.shape)} has no entries. Use one or more.")
    places = torch.arange(column.shape[-1], device=column.device)
    return column[..., (places[:, None] - places) % column.shape[-1]]


def convolution_matrix(kernel: Tensor, size: Sequence[int]) -> Tensor:
    """Return the matrix of a circular convolution of stride 1 in 1, 2 or 3 dimensions.

    M @ x.flatten() equals ``F.conv2d`` of x, padded circularly by k // 2 before and (k − 1) // 2 after, flattened. It
    is dense: for small sizes.

    Args:
        kernel: shape (c_out, c_in, *k), in the layout of ``nn.Conv2d.weight``, groups 1.
        size: pixels of each dimension, each at least the kernel's.

    Returns:
        Shape (c_out · ∏size, c_in · ∏size); channels vary slowest, pixels in row-major order.

    Raises:
        ValueError: if kernel and size do not belong together.
    """
    size = _checked("convolution_matrix", kernel, size)
    pixels = torch.arange(size.numel(), device=kernel.device).view(size)
    dims = tuple(range(len(size)))
    matrix = kernel.new_zeros(kernel.shape[0], size.numel(), kernel.shape[1], size.numel())
    for tap in torch.cartesian_prod(*(torch.arange(k) for k in kernel.shape[2:])).view(-1, len(size)).tolist():
        shifts = [k // 2 - t for t, k in zip(tap, kernel.shape[2:], strict=True)]
        read = pixels.roll(shifts, dims).flatten()  # output pixel s reads input pixel read[s] through this tap
        matrix[:, pixels.flatten(), :, read] += kernel[(..., *tap)]
    return matrix.flatten(2).flatten(0, 1)


def convolution_singular_values(kernel: Tensor, size: Sequence[int]) -> Tensor:
    """Return all singular values of ``convolution_matrix(kernel, size)`` by Fourier transforms, in descending order.

    Args:
        kernel: shape (c_out, c_in, *k); half precision is computed in float32.
        size: pixels of each dimension, each at least the kernel's.

    Returns:
        Shape (∏size · min(c_out, c_in),); differentiable where they are distinct.

    Raises:
        ValueError: if kernel and size do not belong together.

    Example:
        >>> convolution_singular_values(torch.tensor([[[1.0, 2.0, 0.0, -1.0]]]), [4])
        tensor([3.1623, 3.1623, 2.0000, 0.0000])
    """
    size = _checked("convolution_singular_values", kernel, size)
    kernel = kernel.to(torch.promote_types(kernel.dtype, torch.float32))
    spectrum = torch.fft.fftn(kernel, s=tuple(size), dim=tuple(range(2, kernel.dim())))
    blocks = spectrum.flatten(2).permute(2, 0, 1)  # (frequencies, c_out, c_in)
    return torch.linalg.svdvals(blocks).flatten().sort(descending=True).values


def _checked(function: str, kernel: Tensor, size: Sequence[int]) -> torch.Size:
    if kernel.dim() not in (3, 4, 5) or len(size) != kernel.dim() - 2:
        raise ValueError(
            f"{function}: a kernel of shape {tuple(kernel.shape)} and size {tuple(size)} do not belong together. "
            "Use (c_out, c_in, *k) with one to three spatial dimensions, and as many sizes."
        )
    if any(k > n for k, n in zip(kernel.shape[2:], size, strict=True)):
        raise ValueError(f"{function}: kernel {tuple(kernel.shape[2:])} is larger than the image {tuple(size)}.")
    return torch.Size(size)
