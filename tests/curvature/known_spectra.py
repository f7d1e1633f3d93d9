"""Dense matrices of known spectrum, as operators."""

import numpy as np
import torch

from trainwell.curvature import LinearOperator


class Matrix(LinearOperator):
    """A dense matrix."""

    def __init__(self, matrix):
        super().__init__([matrix.shape[:1]], matrix.dtype, matrix.device)
        self.matrix = matrix

    def _matmat(self, columns):
        return self.matrix @ columns


def with_spectrum(spectrum, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(len(spectrum), len(spectrum), dtype=torch.float64, generator=generator)).Q
    matrix = q @ torch.diag(torch.as_tensor(np.array(spectrum), dtype=torch.float64)) @ q.T
    return Matrix(((matrix + matrix.T) / 2).to(dtype))


RNG = np.random.default_rng(0)
SPECTRA = {
    "separate": np.linspace(-3, 5, 60),
    "bulk and outliers": np.r_[RNG.uniform(0, 1, 150), 10, 20, 50],
    "degenerate": np.r_[[7.0] * 3, [5.0] * 2, np.linspace(-1, 1, 75)],
    "clustered": np.r_[4 - 1e-4 * np.arange(4), np.linspace(-1, 1, 76)],
    "few values": np.repeat([3.0, 1.0, -2.0], 10),
    "multiple of the identity": np.full(12, 2.0),
    "zero": np.zeros(9),
    "negative": -np.arange(1.0, 30),
}
