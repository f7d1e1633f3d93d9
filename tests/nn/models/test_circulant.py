"""Circulant layers against their matrices, convolution against its doubly block circulant matrix."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import circulant as scipys_circulant
from torch.testing import assert_close

import trainwell.nn as tn


def layer_of(features_in: int, features_out: int, **options) -> tn.CirculantLinear:
    layer = tn.CirculantLinear(features_in, features_out, **options).double()
    torch.nn.init.normal_(layer.bias)
    return layer


def test_matrix_is_scipys():
    column = torch.randn(7, dtype=torch.float64)
    assert_close(tn.circulant_matrix(column), torch.from_numpy(scipys_circulant(column.numpy())), rtol=0, atol=0)


def test_eigenvalues_are_the_fourier_transform_with_the_fourier_vectors():
    column = torch.randn(6, dtype=torch.float64)
    vectors = torch.exp(2j * math.pi * torch.outer(torch.arange(6.0), torch.arange(6.0)).double() / 6)
    matrix = tn.circulant_matrix(column).to(torch.complex128)
    assert_close(matrix @ vectors, vectors * torch.fft.fft(column), rtol=0, atol=1e-12)
    column[0] += 1  # control: another column has other eigenvalues
    assert (matrix @ vectors - vectors * torch.fft.fft(column)).abs().max() > 0.5


@settings(deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 10), st.integers(0, 3))
def test_layer_is_its_matrix(features_in, features_out, block, batch):
    layer = layer_of(features_in, features_out, block=block)
    x = torch.randn(batch, 2, features_in, dtype=torch.float64)
    assert_close(layer(x), F.linear(x, layer.matrix(), layer.bias), rtol=0, atol=1e-12)


def test_square_layer_has_n_weights_and_is_a_circular_convolution():
    layer = layer_of(5, 5)
    assert layer.weight.shape == (1, 1, 5)
    x, c = torch.randn(5, dtype=torch.float64), layer.weight[0, 0]
    wanted = torch.stack([sum(c[(i - j) % 5] * x[j] for j in range(5)) for i in range(5)])
    assert_close(layer(x) - layer.bias, wanted, rtol=0, atol=1e-12)


def test_shift_of_the_input_shifts_the_output_and_of_a_block_circulant_one_does_not():
    x = torch.randn(3, 6, dtype=torch.float64)
    whole, blocks = layer_of(6, 6, bias=True), layer_of(6, 6, block=3)
    for layer in (whole, blocks):
        torch.nn.init.zeros_(layer.bias)
    assert_close(whole(x.roll(1, 1)), whole(x).roll(1, 1), rtol=0, atol=1e-12)
    assert (blocks(x.roll(1, 1)) - blocks(x).roll(1, 1)).abs().max() > 0.1  # control


def test_start_keeps_the_second_moment():
    x = torch.randn(1, 64)
    moments = torch.stack([tn.CirculantLinear(64, 48, factor=2.0)(x).square().mean() for _ in range(400)])
    assert abs(moments.mean() - 4 * x.square().mean()) < 4 * moments.std() / 400**0.5  # four standard errors


def test_gradient():
    layer = layer_of(5, 7, block=3)
    x = torch.randn(2, 5, dtype=torch.float64, requires_grad=True)

    def run(x, weight, bias):
        return torch.func.functional_call(layer, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(run, (x, layer.weight, layer.bias))
    assert torch.autograd.gradgradcheck(run, (x, layer.weight, layer.bias))


def test_gradients_of_single_samples_by_vmap():
    layer = layer_of(4, 4)
    parameters = dict(layer.named_parameters())
    x = torch.randn(3, 4, dtype=torch.float64)

    def loss(parameters, sample):
        return torch.func.functional_call(layer, parameters, (sample,)).square().sum()

    each = torch.func.vmap(torch.func.grad(loss), (None, 0))(parameters, x)
    assert_close(each["weight"][1], torch.func.grad(loss)(parameters, x[1])["weight"], rtol=1e-12, atol=1e-12)


def test_bfloat16_is_transformed_in_float32():
    layer = tn.CirculantLinear(64, 64)
    x = torch.randn(8, 64)
    half = layer.to(torch.bfloat16)(x.bfloat16())
    assert half.dtype == torch.bfloat16
    exact = layer.float()(x.bfloat16().float())
    assert (half.float() - exact).abs().max() < 0.03  # 2^{-8} relative, of values up to 4
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.float32


def test_compiles_and_exports_and_comes_back_from_a_state():
    model, other = (tn.circulant((6,), 3, width=8, activation="maxout", norm="layer") for _ in range(2))
    x = torch.randn(4, 6)
    assert_close(torch.compile(model, backend="aot_eager", fullgraph=True)(x), model(x))
    torch.compiler.reset()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), model(x))


@pytest.mark.filterwarnings("ignore")
def test_exported_program_agrees():
    model = tn.circulant((6,), 3, width=8).eval()
    program = torch.export.export(model, (torch.randn(4, 6),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)).module()
    x = torch.randn(9, 6)
    assert_close(program(x), model(x))


@pytest.mark.parametrize(
    "kernel,size", [((3,), (7,)), ((2,), (6,)), ((3, 1), (4, 5)), ((3, 5), (5, 6)), ((2, 3, 2), (3, 3, 4))]
)
def test_convolution_is_its_matrix(kernel, size):
    weight = torch.randn(3, 2, *kernel, dtype=torch.float64)
    x = torch.randn(2, *size, dtype=torch.float64)
    padding = [pad for k in reversed(kernel) for pad in (k // 2, (k - 1) // 2)]
    convolve = (F.conv1d, F.conv2d, F.conv3d)[len(size) - 1]
    wanted = convolve(F.pad(x[None], padding, mode="circular"), weight)[0]
    assert_close(tn.convolution_matrix(weight, size) @ x.flatten(), wanted.flatten(), rtol=0, atol=1e-12)


def test_it_is_torchs_circular_padding():
    convolution = torch.nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", bias=False, dtype=torch.float64)
    x = torch.randn(2, 5, 4, dtype=torch.float64)
    y = tn.convolution_matrix(convolution.weight.detach(), (5, 4)) @ x.flatten()
    assert_close(y.view(3, 5, 4), convolution(x[None])[0].detach(), rtol=0, atol=1e-12)


def test_blocks_of_blocks_are_circulant():
    matrix = tn.convolution_matrix(torch.randn(1, 1, 3, 3), (4, 5)).view(4, 5, 4, 5)
    for i in range(4):
        for j in range(4):
            assert torch.equal(matrix[i, :, j], matrix[(i + 1) % 4, :, (j + 1) % 4])  # of blocks
            assert torch.equal(matrix[i, :, j], tn.circulant_matrix(matrix[i, :, j, 0]))  # each block


@pytest.mark.parametrize("kernel,size", [((3,), (8,)), ((3, 3), (5, 4)), ((2, 4), (4, 6)), ((1, 2, 3), (2, 3, 3))])
@pytest.mark.parametrize("channels", [(3, 2), (1, 4)])
def test_singular_values_by_fourier_are_the_matrixs(kernel, size, channels):
    weight = torch.randn(*channels, *kernel, dtype=torch.float64)
    wanted = torch.linalg.svdvals(tn.convolution_matrix(weight, size))
    assert_close(tn.convolution_singular_values(weight, size), wanted, rtol=1e-12, atol=1e-12)


def test_reference_values_and_zero_padding_has_others():
    """THEORY G14: k = (1, 2, 0, −1), n = 4; control: the Toeplitz matrix of zero padding."""
    weight = torch.tensor([[[1.0, 2.0, 0.0, -1.0]]], dtype=torch.float64)
    wanted = torch.tensor([math.sqrt(10), math.sqrt(10), 2, 0], dtype=torch.float64)
    assert_close(tn.convolution_singular_values(weight, [4]), wanted, rtol=0, atol=1e-12)
    eye = torch.eye(4, dtype=torch.float64)[:, None]
    toeplitz = F.conv1d(F.pad(eye, (2, 1)), weight)[:, 0].T
    assert (torch.linalg.svdvals(toeplitz) - wanted).abs().max() > 0.1


def test_singular_values_are_differentiable():
    weight = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: tn.convolution_singular_values(w, [4]).max(), (weight,))


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: tn.circulant_matrix(torch.empty(0)), "has no entries"),
        (lambda: tn.convolution_matrix(torch.randn(3, 3), (4,)), "do not belong together"),
        (lambda: tn.convolution_matrix(torch.randn(1, 1, 3, 3), (4,)), "do not belong together"),
        (lambda: tn.convolution_singular_values(torch.randn(1, 1, 5), (4,)), "larger than the image"),
        (lambda: tn.CirculantLinear(0, 3), "features_in=0"),
        (lambda: tn.CirculantLinear(3, 3, block=0), "block=0"),
        (lambda: tn.CirculantLinear(3, 3)(torch.randn(2, 4)), "has 4 numbers, not 3"),
        (lambda: tn.circulant((3,), 2, widths=(4, 0)), "a layer without units"),
    ],
)
def test_wrong_use_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
