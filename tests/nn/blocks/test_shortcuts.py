"""Shortcuts, gates and stochastic depth: shapes, what they keep, exact expectations, refusals."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck
from torch.testing import assert_close

from trainwell.nn import SHORTCUTS, SqueezeExcite, StochasticDepth, shortcut, survival_probabilities


def test_table_is_the_documented_one():
    assert SHORTCUTS == ("identity", "pad", "projection", "projection_all", "pool")


@pytest.mark.parametrize("name", SHORTCUTS[1:])
@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("channels,stride", [((4, 8), 2), ((4, 4), 2), ((4, 7), 1)])
def test_shape_is_that_of_a_3x3_convolution(name, side, channels, stride):
    x = torch.randn(3, channels[0], side, side + 3)
    expected = nn.Conv2d(*channels, 3, stride, padding=1)(x)
    assert shortcut(name, *channels, stride)(x).shape == expected.shape


@pytest.mark.parametrize("name", SHORTCUTS)
def test_without_a_change_of_shape_only_projection_all_computes(name):
    x = torch.randn(2, 4, 5, 5)
    same = shortcut(name, 4, 4)(x)
    assert torch.equal(same, x) == (name != "projection_all")


def test_pad_takes_every_second_pixel_and_adds_zeros_on_both_sides():
    x = torch.arange(2 * 9.0).view(1, 2, 3, 3)
    y = shortcut("pad", 2, 5, 2)(x)
    assert torch.equal(y[:, 1:3], x[:, :, ::2, ::2])
    assert y[:, [0, 3, 4]].count_nonzero() == 0


def test_pool_averages_what_is_left_at_the_border():
    x = torch.arange(9.0).view(1, 1, 3, 3)
    y = shortcut("pool", 1, 3, 2)(x)
    assert_close(y[0, 1], torch.tensor([[2.0, 3.5], [6.5, 8.0]]))  # means of {0,1,3,4}, {2,5}, {6,7}, {8}
    assert y[:, [0, 2]].count_nonzero() == 0


def test_pool_keeps_the_mean_and_pad_does_not():
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    assert_close(shortcut("pool", 3, 3, 2)(x).mean((2, 3)), x.mean((2, 3)), rtol=1e-12, atol=1e-12)
    assert (shortcut("pad", 3, 3, 2)(x).mean((2, 3)) - x.mean((2, 3))).abs().max() > 0.01  # control


def test_projection_is_a_strided_1x1_convolution_and_a_normalization():
    projection = shortcut("projection", 3, 6, 2).double()
    x = torch.randn(4, 3, 6, 6, dtype=torch.float64)
    z = torch.einsum("oi,nihw->nohw", projection[0].weight[:, :, 0, 0], x[:, :, ::2, ::2])
    assert_close(projection(x), F.batch_norm(z, None, None, training=True))
    assert projection[0].bias is None
    assert shortcut("projection", 3, 6, 2, norm="none")[0].bias is not None


@pytest.mark.parametrize("name", ["pad", "pool", "projection"])
def test_shortcuts_have_the_right_gradient(name):
    way = shortcut(name, 2, 4, 2, norm="none").double()
    assert gradcheck(way, torch.randn(2, 2, 3, 5, dtype=torch.float64, requires_grad=True))


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="'identity' cannot take 4 channels to 8 with stride 2"):
        shortcut("identity", 4, 8, 2)
    with pytest.raises(ValueError, match="Did you mean 'projection'"):
        shortcut("projektion", 4, 8)
    with pytest.raises(ValueError, match="only adds channels"):
        shortcut("pad", 8, 4)


def test_survival_falls_linearly_to_the_last_block():
    probabilities = survival_probabilities(54, 0.5)
    assert probabilities[-1] == 0.5 and probabilities[0] == 1 - 0.5 / 54
    steps = torch.tensor(probabilities, dtype=torch.float64).diff()
    assert_close(steps, torch.full_like(steps, -0.5 / 54))
    # Huang et al. 2016, §3: the expected number of active blocks is (3L − 1)/4 for p_L = 1/2
    assert sum(probabilities) == pytest.approx((3 * 54 - 1) / 4)
    with pytest.raises(ValueError, match=r"stochastic_depth=1.0 is not in \[0, 1\)"):
        survival_probabilities(3, 1.0)


def test_expectation_over_all_masks_is_what_evaluation_computes():
    """Two linear residual blocks: Σ over masks of P(mask) · output, exactly."""
    torch.manual_seed(0)
    first, second, x = (torch.randn(4, 4, dtype=torch.float64) for _ in range(3))
    chances = survival_probabilities(2, 0.6)
    layers = [StochasticDepth(p) for p in chances]
    evaluated = x
    for layer, weight in zip(layers, (first, second), strict=True):
        evaluated = evaluated + layer.eval()(evaluated @ weight)
    expected = torch.zeros_like(x)
    for mask in itertools.product((0, 1), repeat=2):
        h, chance = x, 1.0
        for kept, p, weight in zip(mask, chances, (first, second), strict=True):
            h = h + kept / p * (h @ weight)
            chance *= p if kept else 1 - p
        expected += chance * h
    assert_close(expected, evaluated, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("per", ["sample", "batch"])
def test_training_gives_zero_or_the_branch_over_p(per):
    x = torch.ones(4000, 3, 2)
    y = StochasticDepth(0.8, per)(x)
    values = y.flatten(1)
    assert (values == values[:, :1]).all()  # a sample is kept or dropped as a whole
    assert set(y.unique().tolist()) <= {0.0, 1.25}
    share = (values[:, 0] > 0).double().mean()
    assert (share in (0, 1)) if per == "batch" else abs(share - 0.8) < 4 * (0.16 / 4000) ** 0.5


def test_one_mask_a_batch_has_the_mean_too():
    layer = StochasticDepth(0.7, "batch")
    share = sum(float(layer(torch.ones(3, 1))[0] > 0) for _ in range(2000)) / 2000
    assert abs(share - 0.7) < 4 * (0.21 / 2000) ** 0.5


def test_stochastic_depth_is_the_identity_in_evaluation_and_at_one():
    x = torch.randn(3, 2)
    assert StochasticDepth(0.1).eval()(x) is x
    assert StochasticDepth(1.0)(x) is x


@pytest.mark.parametrize("survival,per", [(0.0, "sample"), (1.1, "sample"), (0.5, "row")])
def test_stochastic_depth_refuses(survival, per):
    with pytest.raises(ValueError, match="StochasticDepth"):
        StochasticDepth(survival, per)


def test_stochastic_depth_compiles_and_runs_in_bfloat16_and_under_vmap():
    layer = StochasticDepth(0.5)
    x = torch.ones(8, 2, 3, dtype=torch.bfloat16)
    assert set(layer(x).unique().tolist()) <= {0.0, 2.0}
    compiled = torch.compile(layer, backend="aot_eager", fullgraph=True)
    assert set(compiled(x).unique().tolist()) <= {0.0, 2.0}
    torch.compiler.reset()
    batched = torch.func.vmap(layer, randomness="different")(torch.ones(5, 4, 2))
    assert batched.shape == (5, 4, 2)


def test_squeeze_excite_is_its_formula():
    gates = SqueezeExcite(64).double()
    x = torch.randn(3, 64, 5, 4, dtype=torch.float64)
    s = x.mean((2, 3))
    hidden = torch.relu(s @ gates.squeeze.weight.T + gates.squeeze.bias)
    z = torch.sigmoid(hidden @ gates.excite.weight.T + gates.excite.bias)
    assert_close(gates(x), x * z[:, :, None, None], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "channels,reduction,hidden", [(256, 16, 16), (128, 16, 8), (64, 16, 4), (16, 16, 4), (64, 8, 8)]
)
def test_squeeze_excite_has_a_sixteenth_of_the_channels_inside_but_four(channels, reduction, hidden):
    gates = SqueezeExcite(channels, reduction) if reduction != 16 else SqueezeExcite(channels)
    assert sum(p.numel() for p in gates.parameters()) == 2 * channels * hidden + channels + hidden


def test_squeeze_excite_scales_whole_channels_by_less_than_one():
    x = torch.rand(2, 8, 3, 3) + 0.1
    ratio = SqueezeExcite(8)(x) / x
    assert_close(ratio, ratio[:, :, :1, :1].expand_as(ratio))
    assert (ratio > 0).all() and (ratio < 1).all()
    with pytest.raises(ValueError, match="reduction=0"):
        SqueezeExcite(8, 0)


def test_squeeze_excite_has_the_right_gradient():
    gates = SqueezeExcite(4, activation="tanh").double()
    assert gradcheck(gates, torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True))
