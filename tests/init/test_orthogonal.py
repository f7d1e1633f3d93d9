import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell.init import delta_orthogonal_, orthogonal_

CONVS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 9), columns=st.integers(1, 9), groups=st.integers(1, 3), gain=st.floats(0.1, 5))
def test_every_singular_value_of_every_group_is_the_gain(rows, columns, groups, gain):  # closed form
    weight = orthogonal_(torch.empty(groups * rows, columns, dtype=torch.float64), gain, groups=groups)
    for block in weight.chunk(groups):
        expected = torch.full((min(rows, columns),), gain, dtype=torch.float64)
        assert_close(torch.linalg.svdvals(block), expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_dtypes_get_the_rounded_matrix(dtype):
    long = orthogonal_(torch.empty(8, 2, 3), generator=torch.Generator().manual_seed(0))
    short = orthogonal_(torch.empty(8, 2, 3, dtype=dtype), generator=torch.Generator().manual_seed(0))
    assert torch.equal(short, long.to(dtype))


def test_gaussian_matrix_of_equal_variance_stretches_unevenly():  # control: orthogonality removed
    singular = torch.linalg.svdvals(torch.randn(64, 48, generator=torch.Generator().manual_seed(0)) / 8)
    assert singular.max() > 1.5 and singular.min() < 0.5  # Marchenko–Pastur: 1 ± √(48/64)


@pytest.mark.parametrize("dims", CONVS)
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_keeps_signal_and_gradient(dims, groups):  # property
    layer = CONVS[dims](8, 8, 3, padding="same", groups=groups, bias=False, dtype=torch.float64)
    delta_orthogonal_(layer.weight, groups=groups)
    x = torch.randn(2, 8, *[5] * dims, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    (pulled_back,) = torch.autograd.grad(y, x, grad_outputs=y)
    assert_close(y.norm(), x.norm(), rtol=1e-12, atol=0)
    assert_close(pulled_back, x, rtol=1e-12, atol=1e-12)  # JᵀJ = I


@pytest.mark.parametrize("dims", TRANSPOSED)
@pytest.mark.parametrize("stride", [1, 2])
def test_transposed_convolution_keeps_the_norm_at_any_stride(dims, stride):
    layer = TRANSPOSED[dims](4, 8, 3, stride, padding=1, groups=2, bias=False, dtype=torch.float64)
    delta_orthogonal_(layer.weight, 1.5, groups=2, transposed=True)
    x = torch.randn(2, 4, *[5] * dims, dtype=torch.float64)
    assert_close(layer(x).norm(), 1.5 * x.norm(), rtol=1e-12, atol=0)


def test_strided_convolution_keeps_the_pixels_that_it_keeps():
    layer = nn.Conv2d(4, 6, 3, 2, padding=1, bias=False, dtype=torch.float64)
    delta_orthogonal_(layer.weight)
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    assert_close(layer(x).norm(dim=1), x[:, :, ::2, ::2].norm(dim=1), rtol=1e-12, atol=0)
    assert layer(x).norm() < x.norm()


def test_flat_orthogonal_kernel_does_not_keep_the_norm():  # control: orthogonal, but not at the centre alone
    layer = nn.Conv2d(4, 36, 3, padding=1, bias=False, dtype=torch.float64)
    orthogonal_(layer.weight)
    x = torch.randn(2, 4, 7, 7, dtype=torch.float64)
    assert layer(x).norm() > 2 * x.norm()  # a pixel inside stands in 9 patches: 3


@pytest.mark.parametrize(
    ("shape", "options", "says"),
    [
        ((4, 8, 3), {}, "maps 8 channels to 4"),
        ((8, 4, 3), {"transposed": True}, "maps 8 channels to 4"),
        ((4, 4, 3), {"groups": 2}, "maps 8 channels to 4"),
        ((8, 4, 3, 2), {}, "has an even size"),
        ((8, 4), {}, "Use orthogonal_ for linear"),
        ((9, 2, 3), {"groups": 2}, "2 groups do not divide"),
    ],
)
def test_kernel_that_cannot_keep_norms_is_refused_and_not_touched(shape, options, says):
    weight = torch.ones(shape)
    with pytest.raises(ValueError, match=says):
        delta_orthogonal_(weight, **options)
    assert bool((weight == 1).all())


def test_orthogonal_refuses_what_it_cannot_fill():
    with pytest.raises(ValueError, match=r"dtype torch\.int64"):
        orthogonal_(torch.empty(2, 2, dtype=torch.int64))
    with pytest.raises(ValueError, match="gain=inf"):
        orthogonal_(torch.empty(2, 2), float("inf"))
