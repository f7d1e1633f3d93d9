"""Dropout and its relatives: mean, variance, modes, the two scalings, Monte Carlo."""

import copy
import itertools

import pytest
import torch
from torch import nn
from torch.func import vmap
from torch.testing import assert_close

from trainwell.errors import InputError
from trainwell.nn import (
    DROPOUTS,
    DropConnect,
    GaussianDropout,
    MaskDropout,
    dropconnect_,
    dropout,
    mc_predict,
    remove_dropconnect_,
    trace,
    weight_scaling_,
)
from trainwell.nn.operations import kind_of

REAL = tuple(name for name in DROPOUTS if name != "none")
P = 0.3


@pytest.mark.parametrize("name", ["inverted", "spatial", "gaussian"])
@pytest.mark.parametrize("dimensions", [0, 1, 2, 3])
def test_mean_stays_and_variance_is_p_over_one_minus_p(name, dimensions):
    layer = dropout(name, P, dimensions)
    x = torch.full((400, 500, *[2] * dimensions), 2.0)
    y = layer(x)
    variance = 4 * P / (1 - P)
    per_channel = y.flatten(2)[..., 0] if dimensions else y  # spatial: one draw per channel
    error = (variance / per_channel.numel()) ** 0.5
    assert_close(y.mean().item(), 2.0, rtol=0, atol=5 * error)
    assert_close(per_channel.var().item(), variance, rtol=0.02, atol=0)
    assert torch.equal(layer.eval()(x), x)


def test_spatial_drops_whole_channels_and_inverted_does_not():
    x = torch.ones(50, 20, 4, 4)
    whole = {name: dropout(name, P, 2)(x).flatten(2).std(2).amax().item() for name in ("spatial", "inverted")}
    assert whole["spatial"] == 0 and whole["inverted"] > 0


def test_alpha_keeps_selus_mean_and_variance():
    y = dropout("alpha", 0.2)(torch.randn(400_000))
    assert_close([y.mean().item(), y.var().item()], [0.0, 1.0], rtol=0, atol=0.01)


def test_gaussian_noise_is_normal():
    factor = GaussianDropout(0.5)(torch.ones(200_000, dtype=torch.float64))
    standard = factor - 1  # p = ½: variance 1
    assert_close(standard.pow(4).mean().item(), 3.0, rtol=0.05, atol=0)  # control: inverted's ±1 has 1
    assert (factor < 0).any()


@pytest.mark.parametrize("name", DROPOUTS)
@pytest.mark.parametrize("dimensions", [0, 2])
def test_bfloat16_compiled_traced_and_batched(name, dimensions):
    layer = dropout(name, P, dimensions)
    x = torch.randn(6, 4, *[3] * dimensions)
    assert layer.bfloat16()(x.bfloat16()).dtype == torch.bfloat16
    assert not layer.state_dict()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.manual_seed(3)
    expected = layer(x)
    torch.manual_seed(3)
    assert_close(compiled(x), expected)
    torch.compiler.reset()
    chain = trace(nn.Sequential(nn.ReLU(), layer), x.float())
    assert [one.kind for one in chain][1:] == ([] if name == "none" else ["dropout"])
    if name != "spatial" or dimensions == 0:  # torch has no batching rule for its feature dropout's in-place mask
        assert vmap(lambda sample: layer(sample[None]), randomness="different")(x).shape == (6, 1, *x.shape[1:])


def test_gradient_passes_through_the_same_mask():
    x = torch.randn(30, 20, dtype=torch.float64, requires_grad=True)
    for layer in (GaussianDropout(P), MaskDropout(P)):
        y = layer(x)
        assert_close(torch.autograd.grad(y.sum(), x)[0] * x, y)  # y = x ∘ factor


def test_wrong_names_and_numbers_are_refused():
    with pytest.raises(InputError, match="Did you mean 'inverted'"):
        dropout("invertd", 0.1)
    with pytest.raises(InputError, match=r"probability 1\.0 is not in"):
        dropout("inverted", 1.0)
    with pytest.raises(InputError, match="for 4 dimensions"):
        dropout("spatial", 0.1, 4)
    for layer in (GaussianDropout, DropConnect, MaskDropout):
        with pytest.raises(ValueError, match=r"p=-0\.1 is not in \[0, 1\)"):
            layer(-0.1)
    assert isinstance(dropout("gaussian", 0.0), nn.Identity)


def test_dropconnect_has_the_mean_of_the_layer_and_its_closed_variance():
    net = nn.Sequential(nn.Linear(6, 3), nn.Linear(3, 2)).double()
    plain = copy.deepcopy(net[0])
    assert dropconnect_(net, P) == ["0"]
    x = torch.randn(1, 6, dtype=torch.float64)
    with torch.no_grad():
        ys = torch.cat([net[0](x) for _ in range(20_000)])
        variance = P / (1 - P) * plain.weight.square() @ x[0].square()
        error = (variance / 20_000).sqrt()
        assert ((ys.mean(0) - plain(x)[0]).abs() < 5 * error).all()
        assert_close(ys.var(0), variance, rtol=0.06, atol=0)
        correlation = torch.corrcoef(ys.T) - torch.eye(3)
        assert correlation.abs().max() < 0.04  # each output has a mask of its own; dropout of x correlates them
        assert torch.equal(net[0].eval()(x), plain(x))


def test_dropconnect_in_a_whole_model():
    net = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(20, 8), nn.Linear(8, 2))
    before = [net[0].weight.clone(), net[3].weight.clone()]
    assert dropconnect_(net, 0.5) == ["0", "3"]
    x = torch.randn(3, 2, 5)
    share = (net[3].weight == 0).double().mean()
    assert 0.3 < share < 0.7 and not torch.equal(net(x), net(x))
    net(x).sum().backward()
    assert net[0].parametrizations.weight.original.grad is not None
    assert [kind_of(module) for module in net.modules()].count("dropout") == 2
    assert [layer.kind for layer in trace(net, x)] == ["conv", "activation", "flatten", "linear", "linear"]
    torch.manual_seed(5)
    expected = net(x)
    torch.manual_seed(5)
    assert_close(torch.compile(net, fullgraph=True, backend="aot_eager")(x), expected)
    torch.compiler.reset()
    state = copy.deepcopy(net.state_dict())
    net.load_state_dict(state)
    assert remove_dropconnect_(net) == ["0", "3"]
    assert torch.equal(net[0].weight, before[0]) and torch.equal(net[3].weight, before[1])
    with pytest.raises(ValueError, match="no linear layer or convolution before its last one"):
        dropconnect_(nn.Sequential(nn.Linear(3, 3)), 0.5)


def test_scaled_weights_are_the_exact_mean_over_all_masks():
    """One linear layer behind a mask: E over the 2⁴ masks = the scaled net = inverted dropout's mean, exactly."""
    net = nn.Sequential(MaskDropout(P), nn.Linear(4, 3)).double()
    x = torch.randn(5, 4, dtype=torch.float64)
    mean = torch.zeros(5, 3, dtype=torch.float64)
    for mask in itertools.product((0.0, 1.0), repeat=4):
        kept = sum(mask)
        mean += P ** (4 - kept) * (1 - P) ** kept * net[1](x * torch.tensor(mask, dtype=torch.float64))
    unscaled = net.eval()(x)
    assert weight_scaling_(net, x) == {"1": pytest.approx(1 - P)}
    assert_close(net.eval()(x), mean)
    assert not torch.allclose(unscaled, mean)  # control: without the rule
    assert_close(net.train()(x), net.eval()(x))  # p is 0 now, and a second call changes nothing
    assert weight_scaling_(net, x) == {"1": 1.0}


def test_published_and_inverted_training_are_one_model_up_to_the_scale():
    inverted = nn.Sequential(nn.Dropout(P), nn.Linear(4, 3, bias=False)).double()
    published = nn.Sequential(MaskDropout(P), nn.Linear(4, 3, bias=False)).double()
    published[1].weight.data = inverted[1].weight.data / (1 - P)
    x = torch.randn(40_000, 4, dtype=torch.float64)
    for moment in (torch.mean, torch.std):
        assert_close(moment(published(x), 0), moment(inverted(x), 0), rtol=0.05, atol=0.02)
    weight_scaling_(published, x[:2])
    assert_close(published.eval()(x), inverted.eval()(x))


def test_weight_scaling_goes_through_pooling_and_refuses_what_is_not_exact():
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3), MaskDropout(P), nn.AvgPool2d(2), nn.Flatten(), MaskDropout(0.5), nn.Linear(8, 2)
    )
    assert weight_scaling_(net, torch.zeros(1, 1, 6, 6)) == {"5": pytest.approx(0.35)}
    bent = nn.Sequential(MaskDropout(P), nn.Tanh(), nn.Linear(4, 2))
    before = bent[2].weight.clone()
    with pytest.raises(ValueError, match="is read by Tanh at '1'"):
        weight_scaling_(bent, torch.zeros(1, 4))
    assert torch.equal(bent[2].weight, before) and bent[0].p == P
    with pytest.raises(ValueError, match="runs no MaskDropout"):
        weight_scaling_(nn.Linear(2, 2), torch.zeros(1, 2))


def test_monte_carlo_mean_and_spread_are_the_closed_ones():
    net = nn.Sequential(nn.Dropout(P), nn.Linear(6, 2)).double().eval()
    x = torch.randn(3, 6, dtype=torch.float64)
    mean, std = mc_predict(net, x, 4000, torch.Generator().manual_seed(0))
    variance = P / (1 - P) * x.square() @ net[1].weight.detach().square().T
    assert_close(std, variance.sqrt(), rtol=0.06, atol=0)
    assert ((mean - net(x)).abs() < 5 * std / 4000**0.5).all()


def test_monte_carlo_is_the_plain_mean_and_standard_deviation_of_the_answers():
    net, x = nn.Sequential(nn.Dropout(P), nn.Linear(6, 2)).double(), torch.randn(3, 6, dtype=torch.float64)
    torch.manual_seed(4)
    answers = torch.stack([net(x) for _ in range(5)]).detach()
    torch.manual_seed(4)
    mean, std = mc_predict(net, x, 5)
    assert_close(mean, answers.mean(0), rtol=1e-12, atol=1e-14)
    assert_close(std, answers.std(0), rtol=1e-12, atol=1e-14)


def test_monte_carlo_leaves_modes_norms_and_random_state_alone():
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), GaussianDropout(0.5), nn.Linear(4, 2))
    net[0].eval()
    modes = [module.training for module in net.modules()]
    running, state = net[1].running_mean.clone(), torch.get_rng_state()
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    one, two = (mc_predict(net, x, 7, torch.Generator().manual_seed(2)) for _ in range(2))
    assert torch.equal(one.mean, two.mean) and torch.equal(one.std, two.std) and (one.std > 0).all()
    assert [module.training for module in net.modules()] == modes
    assert torch.equal(net[1].running_mean, running) and torch.equal(torch.get_rng_state(), state)
    mc_predict(net, x, 2)
    assert not torch.equal(torch.get_rng_state(), state)  # without a generator the global one draws
    with pytest.raises(ValueError, match="samples=1 have no spread"):
        mc_predict(net, x, 1)
    with pytest.raises(ValueError, match="no dropout layer"):
        mc_predict(nn.Linear(4, 2), x, 3)


def test_monte_carlo_over_dropped_weights():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    dropconnect_(net, 0.5)
    assert (mc_predict(net.eval(), torch.randn(3, 4), 5).std > 0).all()
