"""Spectra of a net's weights: those of independent ones lie between the edges, tied and orthogonal ones do not."""

import numpy as np
import torch
from torch import nn

from trainwell.nn.measured_spectra import LARGEST, measure_spectra


def drawn(rows: int, columns: int, scale: float, seed: int = 0) -> nn.Linear:
    layer = nn.Linear(columns, rows)
    with torch.no_grad():
        layer.weight.copy_(scale * torch.randn(rows, columns, generator=torch.Generator().manual_seed(seed)))
    return layer


def test_independent_weights_fill_the_space_between_the_edges() -> None:
    (spectrum,) = measure_spectra(drawn(300, 900, 0.02))
    low, high = spectrum.edges
    assert np.isclose(low, 0.02 * (900**0.5 - 300**0.5), rtol=0.01)
    assert np.isclose(high, 0.02 * (900**0.5 + 300**0.5), rtol=0.01)
    assert abs(spectrum.values[0] / high - 1) < 0.03 and abs(spectrum.values[-1] / low - 1) < 0.05


def test_values_are_those_of_numpy_and_of_the_flattened_kernel() -> None:
    conv = nn.Conv2d(3, 5, 3)
    (spectrum,) = measure_spectra(conv)
    assert np.allclose(spectrum.values, np.linalg.svd(conv.weight.detach().numpy().reshape(5, 27), compute_uv=False))


def test_tied_rows_and_orthogonal_weights_leave_the_band() -> None:
    tied, orthogonal = drawn(40, 40, 0.1), nn.Linear(40, 160)
    with torch.no_grad():
        tied.weight.copy_(tied.weight[:1].expand(40, 40).clone())
        nn.init.orthogonal_(orthogonal.weight)
    first, second = measure_spectra(nn.Sequential(tied, orthogonal))
    assert first.values[0] > 2 * first.edges[1] and first.values[1] < 1e-6 * first.values[0]
    assert np.ptp(second.values) < 1e-5 < np.ptp(second.edges)


def test_what_has_no_spectrum_is_left_out() -> None:
    broken = nn.Linear(4, 4)
    with torch.no_grad():
        broken.weight[0, 0] = torch.nan
    net = nn.Sequential(nn.Linear(4, 1), nn.LayerNorm(1), broken, nn.Linear(LARGEST + 1, 2), nn.Linear(2, 3))
    assert [spectrum.path for spectrum in measure_spectra(net)] == ["4"]
