import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wasserstein_distance
from torch.testing import assert_close

from trainwell.objectives import Wasserstein1D

samples = st.lists(st.floats(-100, 100), min_size=1, max_size=12)


@given(samples, samples)
def test_it_is_scipys(a, b):
    found = Wasserstein1D()(torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64))
    assert float(found) == pytest.approx(wasserstein_distance(a, b), rel=1e-12, abs=1e-11)


def test_rows_are_distances_of_their_own():
    x, y = np.random.default_rng(0).standard_normal((2, 3, 4, 7))
    found = Wasserstein1D(reduction="none")(torch.from_numpy(x), torch.from_numpy(y[..., :5]))
    expected = [[wasserstein_distance(x[i, j], y[i, j, :5]) for j in range(4)] for i in range(3)]
    assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert_close(Wasserstein1D()(torch.from_numpy(x), torch.from_numpy(y[..., :5])), found.mean())


def test_a_shift_costs_its_length_and_pulls_every_point_alike():
    x = torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    loss = Wasserstein1D()(x, x.detach().flip(0) + 10)
    assert float(loss.detach()) == pytest.approx(10, rel=1e-12)
    assert_close(torch.autograd.grad(loss, x)[0], torch.full((9,), -1 / 9, dtype=torch.float64))
    other = x.detach()[:6] * 2 + 0.3
    assert torch.autograd.gradcheck(lambda a: Wasserstein1D()(a, other), x)


def test_without_sorting_it_is_no_distance_of_distributions():  # control
    x = torch.tensor([0.0, 1.0, 2.0])
    assert float(Wasserstein1D()(x, x.flip(0))) == 0
    assert float((x - x.flip(0)).abs().mean()) > 1


def test_no_samples_in_the_batch_are_zero_and_empty_samples_an_error():
    x = torch.zeros(0, 4, requires_grad=True)
    loss = Wasserstein1D()(x, torch.zeros(0, 3))
    loss.backward()
    assert float(loss.detach()) == 0
    with pytest.raises(ValueError, match="samples of 0 and 2"):
        Wasserstein1D()(torch.zeros(0), torch.zeros(2))
    with pytest.raises(ValueError, match="leading dimensions"):
        Wasserstein1D()(torch.zeros(2, 3), torch.zeros(3, 3))
