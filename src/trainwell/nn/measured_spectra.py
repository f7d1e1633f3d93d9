"""Singular values of a real net's weights, layer by layer, beside where those of independent weights would lie."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from trainwell.nn.operations import kind_of
from trainwell.theory.spectral_laws import MarchenkoPastur

LARGEST = 2048  # rows and columns of a matrix that is decomposed, half a second of one core


@dataclass(frozen=True)
class LayerSpectrum:
    """The spectrum of one layer's weight matrix, output × input (× kernel).

    Attributes:
        path: of the layer.
        values: singular values, descending, shape (min(rows, columns),).
        edges: between which those of independent weights of the same root mean square lie: those of Marchenko and
            Pastur, s·(√m ∓ √n) for an m × n matrix with entries of size s.
    """

    path: str
    values: NDArray[np.float64]
    edges: tuple[float, float]


def measure_spectra(model: nn.Module) -> list[LayerSpectrum]:
    """Return the spectra of all linear layers and convolutions with finite weights, in the order of the modules.

    What has a side of 1 or above ``LARGEST`` is left out.
    """
    found = []
    for path, module in model.named_modules():
        weight = getattr(module, "weight", None)
        if kind_of(module) not in ("linear", "conv") or not isinstance(weight, torch.Tensor):
            continue
        matrix = weight.detach().flatten(1).double().cpu()
        if min(matrix.shape) < 2 or max(matrix.shape) > LARGEST or not bool(matrix.isfinite().all()):
            continue
        rows, columns = matrix.shape
        low, high = MarchenkoPastur(min(rows, columns) / max(rows, columns)).edges
        size = float(matrix.square().mean()) ** 0.5 * max(rows, columns) ** 0.5
        edges = (size * low**0.5, size * high**0.5)
        found.append(LayerSpectrum(path, torch.linalg.svdvals(matrix).numpy(), edges))
    return found
