"""Highway, LeNet-5 and VGG-like networks: formulas, published sizes, adaption to the image, refusals."""

import functools
import math

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from trainwell.nn import NORMS, HighwayLayer, highway, lenet5, trace, vgg
from trainwell.nn.models.highways import gate_bias_of
from trainwell.nn.nonlinear.activations import ACTIVATIONS


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def test_highway_layer_is_its_formula_and_has_the_right_gradient():
    layer = HighwayLayer(6, activation="tanh", gate_bias=-1.5).double()
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    gate = torch.sigmoid(x @ layer.gate.weight.T + layer.gate.bias)
    transform = torch.tanh(x @ layer.transform.weight.T + layer.transform.bias)
    assert_close(layer(x), gate * transform + (1 - gate) * x, rtol=1e-12, atol=1e-12)
    assert gradcheck(layer, x)


def test_closed_gates_carry_and_open_ones_transform():
    x = torch.randn(5, 8)
    assert_close(HighwayLayer(8, gate_bias=-50.0)(x), x)
    opened = HighwayLayer(8, gate_bias=50.0)
    assert_close(opened(x), torch.relu(opened.transform(x)))  # control


def test_gates_start_as_closed_as_the_depth_asks():
    assert [gate_bias_of(depth) for depth in (1, 10, 15, 20, 30, 71)] == [-1, -1, -1.5, -2, -3, -3]
    for depth, bias in ((5, -1.0), (25, -2.5)):
        layers = [layer for layer in highway((4,), 3, width=8, depth=depth) if isinstance(layer, HighwayLayer)]
        assert len(layers) == depth and all((layer.gate.bias == bias).all() for layer in layers)
    assert (highway((4,), 3, gate_bias=-6.0)[3].gate.bias == -6).all()


def test_highway_carries_as_much_gradient_as_its_gates_are_closed():
    """(1 − sigmoid(−3))⁵⁰ = 0.09 through 50 layers."""

    def carried(bias: float | None) -> float:
        torch.manual_seed(0)
        layers = nn.Sequential(*highway((16,), 3, width=32, depth=50, activation="tanh", gate_bias=bias)[3:53])
        x, direction = torch.randn(16, 32, requires_grad=True), torch.randn(16, 32)
        (gradient,) = torch.autograd.grad(layers(x), x, direction)
        return float(gradient.norm() / direction.norm())

    assert carried(None) == pytest.approx((1 - 1 / (1 + math.exp(3))) ** 50, rel=0.3)
    assert carried(0.0) < 0.03  # control: gates half open


def test_highway_has_the_documented_parameters():
    assert count(highway((1, 28, 28), 10, width=50, depth=3)) == 784 * 50 + 50 + 3 * 2 * (50 * 50 + 50) + 510


def test_lenet_has_the_sizes_of_the_paper():
    for inputs in ((1, 28, 28), (1, 32, 32), (1, 40, 52)):
        model = lenet5(inputs, 10)
        assert count(model) == 61_706  # 156 + 2416 + 48 120 + 10 164 + 850
        shapes = [layer.output_shape for layer in trace(model, torch.randn(1, *inputs)).layers]
        assert shapes[-7:] == [(400,), (120,), (120,), (84,), (84,), (84,), (10,)]


@pytest.mark.parametrize("side", range(12, 90, 7))
def test_lenet_adapts_to_the_image(side):
    model = lenet5((2, side, side + 5), 3)
    assert model(torch.randn(2, 2, side, side + 5)).shape == (2, 3)
    assert model[8].in_features <= 400


def test_every_pixel_of_a_large_image_counts_for_lenet():
    x = torch.randn(1, 1, 60, 61, requires_grad=True)
    (gradient,) = torch.autograd.grad(lenet5((1, 60, 61), 3)(x).sum(), x)
    assert gradient[..., :59, :59].count_nonzero() > 0.99 * 59 * 59  # halving and the grid leave out the last few


def test_lenet_refuses_small_images():
    with pytest.raises(ValueError, match="at least 12 pixels a side, these have 11×30"):
        lenet5((1, 11, 30), 3)


PUBLISHED = {11: 9_220_480, 13: 9_404_992, 16: 14_714_688}  # of the convolutions, with biases: torchvision's features


@pytest.mark.parametrize("depth", PUBLISHED)
def test_vgg_has_the_published_convolutions(depth):
    with torch.device("meta"):
        model = vgg((3, 32, 32), 10, depth=depth, norm="none")
        assert count(model) == PUBLISHED[depth] + 512 * 10 + 10
        assert sum(isinstance(layer, nn.Conv2d) for layer in model) == depth - 3


@pytest.mark.parametrize("side,pools", [(4, 2), (8, 3), (28, 4), (31, 4), (32, 5), (200, 5)])
def test_vgg_pools_as_often_as_the_image_allows(side, pools):
    model = vgg((1, side, side + 9), 3, width=2)
    assert sum(isinstance(layer, nn.MaxPool2d) for layer in model) == pools
    assert model.eval()(torch.randn(1, 1, side, side + 9)).shape == (1, 3)


def test_vgg_keeps_the_second_moment_without_norms():
    """Kaiming's start: with max-pools left out, E φ² after 8 convolutions is about what it was."""
    torch.manual_seed(0)
    model = vgg((8, 8, 8), 3, width=32, norm="none")
    kept = nn.Sequential(*(layer for layer in model[:-4] if not isinstance(layer, nn.MaxPool2d)))
    for layer in kept:
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "circular"
    with torch.no_grad():
        ratio = kept(torch.randn(8, 8, 8, 8)).square().mean()
    assert 0.4 < ratio < 2.5


def test_vgg_refuses_other_depths():
    with pytest.raises(ValueError, match="vgg has no depth=19"):
        vgg((3, 32, 32), 10, depth=19)


@pytest.mark.parametrize("norm", [name for name in NORMS if name != "sync"])
def test_vgg_takes_every_normalization(norm):
    model = vgg((3, 4, 4), 2, width=4, norm=norm)
    model(torch.randn(8, 3, 4, 4)).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(
    "make,inputs",
    [(functools.partial(vgg, width=4), (2, 4, 4)), (lenet5, (1, 12, 12)), (functools.partial(highway, depth=2), (5,))],
    ids=["vgg", "lenet5", "highway"],
)
def test_every_activation_fits(make, inputs, activation):
    model = make(inputs, 3, activation=activation)
    y = model(torch.randn(6, *inputs))
    y.square().sum().backward()
    assert y.shape == (6, 3) and all(p.grad.isfinite().all() for p in model.parameters())
    chain = trace(model, torch.randn(1, *inputs))
    assert chain.incomplete == "" and chain.parameters == count(model)


@pytest.mark.parametrize("make", [lenet5, vgg])
def test_vectors_are_no_images(make):
    with pytest.raises(ValueError, match=r"takes images \(C, H, W\), these samples have shape \(7,\)"):
        make((7,), 3)


def test_logits_start_with_the_scale_of_one():
    for make, inputs in ((lenet5, (1, 28, 28)), (highway, (50,))):
        x = torch.randn(256, *inputs)
        assert math.log10(make(inputs, 20)(x).std().item()) == pytest.approx(0, abs=0.5)
