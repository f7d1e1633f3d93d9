"""Theory beside real nets: plain ones of four activations and three schemes, with norms, traced ones of a user."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from trainwell import init
from trainwell.nn.measured_signal import measure_signal
from trainwell.nn.nonlinear.activations import activation
from trainwell.nn.tracer import trace
from trainwell.nn.weight_spreads import read_activations, read_spreads
from trainwell.theory.initial_spread import INITIALIZATIONS, initial_spread, plain_chain
from trainwell.theory.prediction import predict

DEPTH, WIDTH, SEEDS, SAMPLES = 6, 512, 6, 32
NORMS = {"batch": nn.BatchNorm1d, "layer": nn.LayerNorm, "rms": nn.RMSNorm}


def plain_net(name, scheme, norm="none", width=WIDTH):
    layers = []
    for l in range(DEPTH):
        layers.append(nn.Linear(width, width))
        if l < DEPTH - 1:
            layers += [NORMS[norm](width)] if norm != "none" else []
            layers.append(activation(name))
    net = nn.Sequential(*layers)
    init.apply_(net, scheme, example=torch.ones(2, width))
    return net


def deviations(prediction, measured, seeds):
    """Relative differences over what may be: four standard errors (the larger of theory's and the seen) + v."""
    out = []
    pairs = (("moment", measured.mean_moment()), ("gradient", measured.gradient_norm()))
    for name, (seen, error) in pairs:
        theory = np.array([getattr(layer, name) for layer in prediction.layers])
        spread = np.array([layer.deviation for layer in prediction.layers])
        allowed = 4 * np.maximum(spread / seeds**0.5, error / seen) + spread**2
        out.append(np.abs(seen / theory - 1) / allowed)
    return np.array(out)


@pytest.mark.parametrize("scheme", ["xavier", "kaiming", "lecun"])
@pytest.mark.parametrize("name", ["tanh", "relu", "sigmoid", "gelu"])
def test_prediction_is_what_is_measured(name, scheme):
    x = torch.randn(SAMPLES, WIDTH)
    seen = measure_signal(lambda: plain_net(name, scheme), x, SEEDS)
    chain, moment = plain_chain(DEPTH, WIDTH, name), float(x.square().mean())
    predicted = predict(chain, scheme, input_moment=moment)
    assert deviations(predicted, seen, SEEDS).max() < 1
    other = {"xavier": "kaiming", "kaiming": "lecun", "lecun": "xavier"}[scheme]
    assert deviations(predict(chain, other, input_moment=moment), seen, SEEDS).max() > 2  # control


@pytest.mark.parametrize("norm", ["batch", "layer", "rms"])
def test_prediction_with_a_norm_is_what_is_measured(norm):
    x = torch.randn(256, WIDTH)
    seen = measure_signal(lambda: plain_net("relu", "kaiming", norm), x, 4)
    predicted = predict(plain_chain(DEPTH, WIDTH, "relu", norm), "kaiming")
    assert deviations(predicted, seen, 4).max() < 1
    without = predict(plain_chain(DEPTH, WIDTH, "relu"), "kaiming")
    assert deviations(without, seen, 4).max() > 2  # control: from the second layer on E z² is 1, not 2


@pytest.mark.parametrize("scheme", sorted(set(INITIALIZATIONS) - {"pytorch"}))
def test_spreads_of_the_schemes_are_those_of_their_weights(scheme):
    net = nn.Sequential(nn.Linear(400, 300), nn.Tanh(), nn.Linear(300, 500))
    init.apply_(net, scheme, example=torch.ones(2, 400))
    following = activation_theory("tanh")
    for path, n, m, after in (("0", 400, 300, following), ("2", 300, 500, None)):
        read, said = read_spreads(net)[path], initial_spread(scheme, n, m, after)
        assert read.sigma_w == pytest.approx(said.sigma_w, rel=0.02)
        assert read.sigma_b == pytest.approx(said.sigma_b, rel=0.25)  # 300 biases or more: 4/√600


def test_spread_of_torch_itself():
    layer = nn.Linear(400, 300)
    said = initial_spread("pytorch", 400, 300)
    assert read_spreads(nn.Sequential(layer))["0"].sigma_w == pytest.approx(said.sigma_w, rel=0.02)
    assert read_spreads(nn.Sequential(layer))["0"].sigma_b == pytest.approx(said.sigma_b, rel=0.15)


def activation_theory(name):
    from trainwell.theory import nonlinearity

    return nonlinearity(name)


class Block(nn.Module):
    """A user's residual block, with functions between modules."""

    def __init__(self, width, inner):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x):
        return x + self.down(F.gelu(self.up(self.norm(x))))


def users_net(weights):
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(400, 256), Block(256, 512), Block(256, 512), Block(256, 512), nn.Dropout(0.1),
        nn.LeakyReLU(0.3), nn.Linear(256, 10),
    )  # fmt: skip
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=weights * module.in_features**-0.5)
    return net


def test_a_users_net_is_traced_read_and_predicted():
    x = torch.randn(64, 1, 20, 20)
    seen = measure_signal(lambda: users_net(1.7), x, SEEDS)
    net = users_net(1.7)
    chain = trace(net, x[:2])
    predicted = predict(chain, read_spreads(net), activations=read_activations(net, chain))
    assert predicted.gave_up == "" and len(predicted.layers) == 8
    assert seen.paths == tuple(layer.path for layer in predicted.layers)
    moments = np.array([layer.moment for layer in predicted.layers])
    np.testing.assert_allclose(seen.mean_moment()[0][:-1], moments[:-1], rtol=0.06)
    gradients = np.array([layer.gradient for layer in predicted.layers])
    np.testing.assert_allclose(seen.gradient_norm()[0], gradients, rtol=0.15)  # 10 outputs draw the last step
    smaller = users_net(0.5)
    other = predict(trace(smaller, x[:2]), read_spreads(smaller))
    assert other.layers[-1].moment < 0.1 * predicted.layers[-1].moment  # control: the weights are read


def test_a_convolutional_net_with_batch_norm_is_predicted():
    def build():
        layers = [nn.Conv2d(3, 64, 3, padding=1, bias=False)]
        for _ in range(3):
            layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1, bias=False)]
        net = nn.Sequential(*layers)
        init.apply_(net, "kaiming", example=torch.ones(2, 3, 16, 16))
        return net

    x = torch.randn(32, 3, 16, 16)
    seen = measure_signal(build, x, 3)
    net = build()
    predicted = predict(trace(net, x[:2]), read_spreads(net))
    assert any("borders" in sentence for sentence in predicted.assumed)
    moments = np.array([layer.moment for layer in predicted.layers])
    np.testing.assert_allclose(seen.mean_moment()[0], moments, rtol=0.12)
    border = (3 * 16 - 2) ** 2 / (9 * 16**2)  # THEORY S14: what zero padding leaves of E ratio²
    assert predicted.layers[1].moment == pytest.approx(border, rel=0.01)


def test_measuring_leaves_the_random_state_alone():
    before = torch.random.get_rng_state()
    measure_signal(lambda: nn.Linear(4, 4), torch.ones(2, 4), 2)
    assert torch.equal(before, torch.random.get_rng_state())


def test_identity_weights_pass_everything():  # every number known
    def build():
        net = nn.Sequential(nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False))
        for layer in net:
            nn.init.eye_(layer.weight)
        return net

    seen = measure_signal(build, torch.full((4, 8), 2.0, dtype=torch.float64), 2)
    assert (seen.moment == 4).all() and np.allclose(seen.gradient, 1, rtol=1e-12)


@pytest.mark.parametrize(("model", "why"), [(nn.ReLU(), "no linear layer"), (nn.LSTM(4, 4), "not a tensor")])
def test_what_cannot_be_measured_is_said(model, why):
    with pytest.raises(ValueError, match=why):
        measure_signal(lambda: model, torch.ones(2, 4), 1)
