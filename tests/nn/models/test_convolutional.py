import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.nn import cnn, trace
from trainwell.nn.models.convolutional import ScaledLinear, pass_through_


@pytest.mark.parametrize("side,left", [(8, 4), (16, 4), (28, 3), (32, 4), (45, 5), (63, 7), (64, 4), (96, 6), (224, 7)])
@pytest.mark.parametrize("channels", [1, 4])
def test_halves_the_image_until_a_few_pixels_are_left(side, left, channels):
    chain = trace(cnn((channels, side, side + 1), 7, width=8).eval(), torch.randn(2, channels, side, side + 1))
    assert chain.of_kind("pool")[-1].input_shape[1] == left
    assert chain.layers[-1].output_shape == (7,)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_parameters_follow_the_closed_form(depth):
    width, stem = 16, 8
    model = cnn((3, 32, 32), 10, width=width, depth=depth)
    total, before = 27 * stem + 2 * stem, stem
    for now in (16, 32, 64):
        total += 9 * before * now + (depth - 1) * 9 * now * now + depth * 2 * now
        before = now
    assert sum(p.numel() for p in model.parameters()) == total + 64 * 10 + 10


def test_kernel_that_passes_through_copies_its_channels():
    convolution = nn.Conv2d(3, 8, 3, padding=1, bias=False)
    pass_through_(convolution.weight)
    x = torch.randn(2, 3, 5, 5)
    assert_close(convolution(x)[:, :3], x)
    assert convolution.weight[3:].std().item() == pytest.approx((2 / 27) ** 0.5, rel=4 / (2 * 5 * 27) ** 0.5)


def test_scaled_linear_is_a_linear_layer_times_its_scale():
    layer = ScaledLinear(6, 3, scale=0.125)
    x = torch.randn(4, 6)
    assert_close(layer(x), 0.125 * x @ layer.weight.T + layer.bias)
