"""What theory predicts of a chain: closed forms, an independent recursion, what must change it, where it gives up."""

import itertools
import math

import numpy as np
import pytest

from trainwell.errors import InputError
from trainwell.theory.chain import Chain, Layer
from trainwell.theory.finite_width import log_norm
from trainwell.theory.initial_spread import INITIALIZATIONS, Spread, initial_spread, plain_chain
from trainwell.theory.mean_field import mean_field_at
from trainwell.theory.prediction import predict
from trainwell.theory.signal_flow import propagate_signal
from trainwell.theory.trainability import judge


def moments(prediction):
    return np.array([layer.moment for layer in prediction.layers])


def gradients(prediction):
    return np.array([layer.gradient for layer in prediction.layers])


def test_relu_of_xavier_halves_both_ways():  # closed form
    found = predict(plain_chain(30, 128, "relu"), "xavier")
    np.testing.assert_allclose(moments(found), 0.5 ** np.arange(30), rtol=1e-12)
    np.testing.assert_allclose(gradients(found), 0.5 ** (np.arange(29, -1, -1) / 2), rtol=1e-12)
    assert [layer.keeps for layer in found.layers[:2]] == pytest.approx([1.0, 2**0.5])
    assert found.xi == pytest.approx(1 / math.log(2)) and found.depth_by_gradient == pytest.approx(6 / math.log(2))


def test_relu_of_kaiming_keeps_both():  # control: the cause removed
    found = predict(plain_chain(30, 128, "relu"), "kaiming")
    np.testing.assert_allclose(moments(found), [2.0] * 29 + [1.0], rtol=1e-12)  # nothing follows the last: gain 1
    np.testing.assert_allclose(gradients(found)[:-1], 0.5**0.5, rtol=1e-12)
    assert found.depth_by_gradient == math.inf and found.dies_at is None


@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "gelu", "selu"])
def test_plain_chain_agrees_with_the_recursion_of_widths(name):  # a slow independent version
    widths, spread = [64, 32, 128, 96], Spread(1.3, 0.4)
    layers = []
    for l, (n, m) in enumerate(itertools.pairwise(widths)):
        layers.append(Layer(f"w{l}", "linear", "Linear", (n,), (m,), n, m))
        layers.append(Layer(f"a{l}", "activation", name, (m,), (m,)))
    found = predict(Chain(tuple(layers[:-1])), {layer.path: spread for layer in layers[::2]}, input_moment=0.7)
    variances = [spread.sigma_w**2 / n for n in widths[:-1]]
    flow = propagate_signal([name, name, "identity"], widths, variances, bias_variance=0.16, input_moment=0.7)
    np.testing.assert_allclose(moments(found), flow.q, rtol=1e-12)
    slopes = flow.chi / (np.array(widths[1:]) * variances)
    np.testing.assert_allclose(gradients(found), flow.signal_gradient * np.sqrt(slopes), rtol=1e-12)


def test_deep_in_the_net_chi_and_correlation_are_those_of_the_fixed_point():
    chain = plain_chain(60, 100, "tanh")
    found = predict(chain, {layer.path: Spread(1.5**0.5, 0.05**0.5) for layer in chain.of_kind("linear")})
    field = mean_field_at("tanh", 1.5**0.5, 0.05**0.5)
    assert found.layers[40].moment == pytest.approx(field.q, rel=1e-6)
    assert found.layers[40].chi == pytest.approx(field.chi, rel=1e-6)
    assert found.layers[-1].correlation == pytest.approx(field.c, abs=0.05)


@pytest.mark.parametrize(("name", "factor"), [("relu", math.pi / (math.pi - 1)), ("identity", 1.0)])
def test_batch_norm_explodes_by_the_published_factor(name, factor):  # Yang et al. 2019
    found = predict(plain_chain(20, 64, name, "batch"), "lecun")
    assert found.layers[10].chi == pytest.approx(factor, rel=1e-3)
    without = predict(plain_chain(20, 64, name), "kaiming")
    assert without.layers[10].chi == pytest.approx(1.0)  # control


@pytest.mark.parametrize("norm", ["batch", "layer", "rms"])
def test_behind_a_norm_the_scale_of_the_weights_does_not_matter(norm):
    chain = plain_chain(8, 64, "tanh", norm)
    scaled = [predict(chain, {layer.path: Spread(s) for layer in chain.of_kind("linear")}) for s in (1.0, 3.0)]
    ratio = [p.layers[4].chi for p in scaled]
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-3)
    assert scaled[1].layers[4].moment / scaled[0].layers[4].moment == pytest.approx(9, rel=1e-3)


def test_fluctuation_of_relu_and_linear_nets_is_that_of_hanin():
    for name, linear in (("relu", False), ("identity", True)):
        found = predict(plain_chain(21, 200, name), "kaiming")
        # z of the last layer has the norm of 20 hidden layers, and 2/n of its own
        assert found.layers[-1].deviation ** 2 - 2 / 200 == pytest.approx(
            log_norm([200] * 20, linear=linear).variance, rel=0.05
        )
    relu = predict(plain_chain(20, 128, "relu"), "kaiming")
    assert relu.depth_by_width == pytest.approx(128)


def block(path, start, n=64):
    """Three steps and an addition of what the block read, the output of step ``start``."""
    return (
        Layer(f"{path}.a", "linear", "Linear", (n,), (n,), n, n, reads=(start,)),
        Layer(f"{path}.b", "activation", "ReLU", (n,), (n,), reads=(start + 1,)),
        Layer(f"{path}.c", "linear", "Linear", (n,), (n,), n, n, reads=(start + 2,)),
        Layer(f"{path}.add()", "other", "add", (n,), (n,), reads=(start, start + 3)),
    )


def test_residual_blocks_double_the_moment():  # S17: E x² doubles per block
    stem = (Layer("stem", "linear", "Linear", (64,), (64,), 64, 64),)
    chain = Chain((*stem, *block("blocks.0", 0), *block("blocks.1", 4), *block("blocks.2", 8)))
    weights = {layer.path: Spread(2**0.5 if layer.path.endswith("c") else 1.0) for layer in chain.of_kind("linear")}
    found = predict(chain, weights)
    by_path = {layer.path: layer.moment for layer in found.layers}
    assert [by_path[f"blocks.{i}.a"] for i in range(3)] == pytest.approx([1.0, 2.0, 4.0])
    assert found.gave_up == "" and found.assumed == ()
    assert math.isnan(found.fluctuation)


@pytest.mark.parametrize("first", [True, False])
def test_a_shortcut_with_weights_reads_what_the_block_read(first):
    def linear(path, *reads):
        return Layer(path, "linear", "Linear", (64,), (64,), 64, 64, reads=reads)

    branch = (
        linear("a", 0),
        Layer("b", "activation", "ReLU", (64,), (64,), reads=(1 + first,)),
        linear("c", 2 + first),
    )
    cut = (linear("shortcut", 0),)
    parts = (*cut, *branch) if first else (*branch, *cut)
    ends = (1, 4) if first else (3, 4)
    add = Layer("add()", "other", "add", (64,), (64,), reads=ends)
    chain = Chain((linear("stem", -1), *parts, add, Layer("head", "linear", "Linear", (64,), (2,), 64, 2, reads=(5,))))
    found = predict(chain, {layer.path: Spread(1.0) for layer in chain.of_kind("linear")})
    assert found.layers[-1].moment == pytest.approx(1.5)  # half by the branch, 1 by the shortcut
    # the stem's gradient: through the branch σ_w⁴/2, through the shortcut σ_w², each from the sum's
    assert found.layers[0].gradient ** 2 == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("layer", "why"),
    [
        (Layer("sort", "other", "sort", (8,), (8,)), "no word for sort"),
        (Layer("add()", "other", "add", (8,), (8,)), "does not show what is added"),
        (Layer("act", "activation", "Softmax", (8,), (8,)), "moments of Softmax"),
        (Layer("next", "linear", "Linear", (5,), (3,), 5, 3), "reads shape"),
        (Layer("up", "conv", "ConvTranspose2d", (8,), (8,), 8, 8), "transposed"),
        (Layer("norm", "norm", "LocalResponseNorm", (8,), (8,)), "not modelled"),
    ],
)
def test_where_it_gives_up_it_says_so_and_keeps_what_it_knows(layer, why):
    first = Layer("first", "linear", "Linear", (8,), (8,), 8, 8)
    found = predict(Chain((first, layer, first)), "xavier")
    assert why in found.gave_up and repr(layer.path) in found.gave_up and len(found.layers) == 1


def test_settings_of_an_activation_are_read_from_its_print():
    first = Layer("w", "linear", "Linear", (8,), (8,), 8, 8)
    leaky = Layer("a", "activation", "LeakyReLU", (8,), (8,), detail="negative_slope=0.5")
    found = predict(Chain((first, leaky, first)), "xavier")
    assert found.layers[1].moment == pytest.approx((1 + 0.25) / 2)


def test_verdicts_and_their_controls():
    def verdict(depth, width, name, init, norm="none"):
        return judge(predict(plain_chain(depth, width, name, norm), init))

    assert verdict(30, 128, "relu", "xavier").trains == "no"
    assert "4.3e-05" in verdict(30, 128, "relu", "xavier").why
    assert verdict(30, 128, "relu", "kaiming").trains == "yes"
    assert verdict(30, 128, "relu", "large_normal").trains == "no"
    assert verdict(30, 128, "sigmoid", "xavier").trains == "no"
    assert verdict(100, 20, "relu", "kaiming").trains == "hardly"
    assert verdict(100, 400, "relu", "kaiming").trains == "yes"
    assert verdict(1, 8, "relu", "kaiming").trains == "unknown"
    assert predict(plain_chain(5, 8, "tanh"), "zero").dies_at.path == "linear1"


def test_a_branch_that_starts_at_zero_is_not_a_dead_signal():
    stem = (Layer("stem", "linear", "Linear", (64,), (64,), 64, 64),)
    chain = Chain((*stem, *block("blocks.0", 0), Layer("head", "linear", "Linear", (64,), (2,), 64, 2)))
    spreads = {layer.path: Spread(0.0 if layer.path.endswith("c") else 1.0) for layer in chain.of_kind("linear")}
    found = predict(chain, spreads)
    assert found.dies_at is None and judge(found).trains == "yes"
    dead = predict(chain, spreads | {"stem": Spread(0.0)})  # control
    assert dead.dies_at.path == "stem"


def test_where_it_gave_up_the_verdict_says_how_far_it_goes():
    first = Layer("first", "linear", "Linear", (8,), (8,), 8, 8)
    end = Layer("end", "other", "softmax", (8,), (8,))
    assert "as far as theory could follow" in judge(predict(Chain((first, first, end)), "xavier")).why


def test_names_and_numbers_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="Did you mean 'kaiming'"):
        predict(plain_chain(2, 8, "relu"), "kamming")
    with pytest.raises(InputError, match="Use one of"):
        initial_spread("qqq", 8, 8)
    assert predict(Chain(()), "xavier").layers == () and math.isnan(predict(Chain(()), "xavier").gradient_ratio)
    assert set(INITIALIZATIONS) > {"kaiming", "xavier", "lecun", "orthogonal", "critical"}
