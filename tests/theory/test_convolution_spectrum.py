"""Singular values of convolutions: the explicit circulant matrix, delta-orthogonal kernels, and padding."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.ndimage import correlate

from trainwell.theory import convolution_singular_values, padding_factor


def matrix(kernel, image, mode):
    """The convolution's matrix, column by column, by SciPy."""
    outs, ins = kernel.shape[:2]
    columns = []
    for place in np.ndindex(ins, *image):
        x = np.zeros((ins, *image))
        x[place] = 1
        columns.append(
            np.stack([sum(correlate(x[i], kernel[o, i], mode=mode) for i in range(ins)) for o in range(outs)]).ravel()
        )
    return np.stack(columns, 1)


def test_reference_numbers():
    assert_allclose(convolution_singular_values([[[1, 2, 0, -1]]], [4]), [10**0.5, 10**0.5, 2, 0], atol=1e-12)


@pytest.mark.parametrize(("outs", "ins"), [(2, 3), (3, 2)])
def test_they_are_those_of_the_circulant_matrix(outs, ins):
    kernel = np.random.default_rng(0).normal(size=(outs, ins, 3, 3))
    dense = np.linalg.svd(matrix(kernel, (4, 5), "wrap"), compute_uv=False)
    found = convolution_singular_values(kernel, (4, 5))
    assert_allclose(found, dense[: found.size], atol=1e-12)
    padded = np.linalg.svd(matrix(kernel, (4, 5), "constant"), compute_uv=False)  # control: another matrix
    assert np.abs(padded[: found.size] - found).max() > 0.1


def test_delta_orthogonal_kernels_are_isometries_and_gaussian_ones_not():  # S14
    generator = np.random.default_rng(1)
    kernel = np.zeros((6, 4, 3, 3))
    kernel[:, :, 1, 1] = np.linalg.qr(generator.normal(size=(6, 4)))[0]
    assert_allclose(convolution_singular_values(kernel, (8, 8)), 1, rtol=1e-12)
    assert_allclose(np.linalg.svd(matrix(kernel, (4, 4), "constant"), compute_uv=False), 1, rtol=1e-12)
    gaussian = convolution_singular_values(generator.normal(size=(6, 4, 3, 3)) / 54**0.5, (8, 8))  # control
    assert gaussian.max() > 1.4 and gaussian.min() < 0.6


def test_padding_takes_the_share_of_taps_outside():
    assert padding_factor([3, 3], [6, 6]) == pytest.approx(0.790, abs=5e-4)
    assert padding_factor([3, 3], [32, 32]) == pytest.approx(0.959, abs=5e-4)
    assert padding_factor([1, 1], [6, 6]) == 1  # control
    generator = np.random.default_rng(0)
    ratios = []
    for _ in range(400):
        kernel, x = generator.normal(size=(5, 3)), generator.normal(size=(8, 6))
        ratios.append([np.sum(correlate(x, kernel, mode=mode) ** 2) for mode in ("constant", "wrap")])
    constant, wrap = np.mean(ratios, 0)
    assert constant / wrap == pytest.approx(padding_factor([5, 3], [8, 6]), rel=0.05)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="does not fit an image of"):
        convolution_singular_values(np.ones((1, 1, 3, 3)), (2, 8))
    with pytest.raises(ValueError, match="must be odd"):
        padding_factor([2], [8])
