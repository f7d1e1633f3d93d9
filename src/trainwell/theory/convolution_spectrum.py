"""Singular values of a convolution as a linear map of images, and what zero padding takes.

With circular padding and stride 1 the map is block diagonal after a Fourier transform: one matrix K̂(ω) of shape
(c_out, c_in) per frequency ω, K̂(ω) = Σ_t K[:, :, t] e^{−iω·t}, and the singular values of the convolution are those of
all K̂(ω) together. Frameworks compute cross-correlations, which conjugates K̂ and leaves the singular values.
Zero padding makes a Toeplitz matrix, of which these are not the singular values but the largest bounds the norm.
Claims G14, S14 (decks G, T). Sources: Sedghi, Gupta & Long 2019, theorem 6, arXiv:1805.10408; Xiao et al. 2018, §2.4,
arXiv:1806.05393: a kernel that is zero but for an orthogonal centre ("delta-orthogonal") has all of them equal.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from trainwell.theory.gaussian import Array


def convolution_singular_values(kernel: ArrayLike, image: Sequence[int]) -> Array:
    """Return all singular values of the circular convolution, decreasing: prod(image) · min(c_out, c_in) of them.

    Args:
        kernel: shape (c_out, c_in, *sizes), in one or more dimensions.
        image: sizes of the image, each at least the kernel's.

    Raises:
        ValueError: if the image has another dimension or is smaller than the kernel.

    Example:
        >>> convolution_singular_values([[[1.0, 2.0, 0.0, -1.0]]], [4]).round(4).tolist()
        [3.1623, 3.1623, 2.0, 0.0]
    """
    weight = np.asarray(kernel, dtype=np.float64)
    if weight.ndim != len(image) + 2 or any(k > n for k, n in zip(weight.shape[2:], image, strict=False)):
        raise ValueError(
            f"convolution_singular_values: a kernel of shape {weight.shape} does not fit an image of {tuple(image)}: "
            "the image must have its spatial dimensions and be at least as large in each."
        )
    transformed = np.fft.fftn(weight, s=tuple(image), axes=tuple(range(2, weight.ndim)))
    matrices = np.moveaxis(transformed, (0, 1), (-2, -1))
    return np.sort(np.linalg.svd(matrices, compute_uv=False).reshape(-1))[::-1]


def padding_factor(kernel: Sequence[int], image: Sequence[int]) -> float:
    """Return E‖y‖²/‖y‖²_circular of zero padding ("same", stride 1) with independent kernel entries.

    The mean share of taps that fall inside the image: ∏ (k n − 2 Σ_{j ≤ (k−1)/2} j)/(k n) over the dimensions, so
    (3H−2)(3W−2)/(9HW) for 3 × 3. An image of independent pixels loses as much energy per layer.

    Args:
        kernel: odd sizes k.
        image: sizes n ≥ (k + 1)/2.

    Raises:
        ValueError: for an even kernel or a smaller image.

    Example:
        >>> round(padding_factor([3, 3], [6, 6]), 3)
        0.79
    """
    if any(k % 2 == 0 or n < (k + 1) // 2 for k, n in zip(kernel, image, strict=True)):
        raise ValueError(f"padding_factor: kernel {tuple(kernel)} must be odd and fit in the image {tuple(image)}.")
    return float(np.prod([1 - (k * k - 1) / (4 * k * n) for k, n in zip(kernel, image, strict=True)]))
