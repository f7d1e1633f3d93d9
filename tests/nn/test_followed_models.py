"""Theory beside real nets that join, gate, attend and recur: every prediction within four standard errors."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

import trainwell.nn as tn
from trainwell.nn.measured_signal import measure_signal
from trainwell.nn.tracer import trace
from trainwell.nn.weight_spreads import read_activations, read_spreads
from trainwell.theory.initial_spread import Spread
from trainwell.theory.prediction import predict

SEEDS = 4


def beside(build, shape, samples=32, change=None):
    """Prediction, and the largest difference of moments over 4 standard errors and of gradient norms, relative.

    The error of a moment is the larger of the seen and √(2/units), of one net, over √seeds; 3 % are for finite width.
    """
    x = torch.randn(samples, *shape, generator=torch.Generator().manual_seed(1))
    torch.manual_seed(0)
    net = build()
    chain, spreads = trace(net, x[:2]), read_spreads(net)
    found = predict(chain, change(spreads) if change else spreads, activations=read_activations(net, chain))
    assert found.gave_up == "" or change
    seen = measure_signal(build, x, SEEDS)
    assert [layer.path for layer in found.layers] == list(seen.paths)
    moment, error = seen.mean_moment()
    theory = np.array([layer.moment for layer in found.layers])
    least = np.array([(2 / layer.units / SEEDS) ** 0.5 for layer in found.layers])
    far = np.abs(moment / theory - 1) / (4 * np.maximum(error / moment, least) + 0.03)
    gradient = np.array([layer.gradient for layer in found.layers])
    steep, doubt = seen.gradient_norm()
    off = np.abs(steep / gradient - 1) / (4 * doubt / gradient + 0.1)
    return found, float(far.max()), float(off[gradient > 0].max())


def encoder(norm_first):
    layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True, norm_first=norm_first)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.layer, self.head = nn.Linear(96, 128), layer, nn.Linear(128, 128)

        def forward(self, x):
            return self.head(self.layer(self.stem(x)))

    net = Tokens()
    for module in net.modules():
        if isinstance(module, nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="linear")
    return net


class Both(nn.Module):
    """Concatenation, a slice of tokens, a mean that keeps its axis, a number, and a position code of one's own."""

    def __init__(self):
        super().__init__()
        self.code = nn.Parameter(torch.randn(8, 64))
        self.up, self.side = nn.Linear(64, 256), nn.Linear(64, 256)
        self.head = nn.Linear(512, 256)

    def forward(self, x):
        x = x + self.code
        h = torch.cat([torch.relu(self.up(x)), 3 * torch.tanh(self.side(x))], -1)
        return self.head(h - h.mean(1, keepdim=True)[:, :1] * 0.5)


NETS = {
    "highway": (lambda: tn.highway((64,), 64, width=256, depth=6), (64,)),
    "transformer": (lambda: tn.transformer((16, 64), 64, width=128), (16, 64)),
    "post-norm": (lambda: tn.transformer((16, 64), 64, width=128, norm_first=False), (16, 64)),
    "torch's encoder": (lambda: encoder(False), (16, 96)),
    "torch's pre-norm": (lambda: encoder(True), (16, 96)),
    "rnn": (lambda: tn.rnn((12, 12), 64, width=256), (12, 12)),
    "gru": (lambda: tn.gru((12, 12), 64, width=256, readout="mean"), (12, 12)),
    "lstm": (lambda: tn.lstm((12, 12), 64, width=256, depth=2), (12, 12)),
    "own": (Both, (8, 64)),
}


@pytest.mark.parametrize("name", NETS)
def test_prediction_is_what_is_measured(name):
    build, shape = NETS[name]
    found, moments, gradients = beside(build, shape)
    assert moments < 1 and gradients < 1 and len(found.layers) >= 2


@pytest.mark.parametrize("name", ["highway", "lstm", "own"])
def test_weights_of_another_size_are_not(name):  # control: the same nets with all spreads half as large
    build, shape = NETS[name]

    def halved(spreads):
        return {path: Spread(s.sigma_w / 2, s.sigma_b, s.mean_b) for path, s in spreads.items()}

    assert beside(build, shape, change=halved)[1] > 2


@pytest.mark.parametrize(("shortcut", "start"), list(itertools.product(("pad", "projection"), (True, False))))
def test_residual_networks_are_followed_whole(shortcut, start):
    def build():
        return tn.resnet20((3, 16, 16), 64, width=32, blocks=1, shortcut=shortcut, identity_start=start)

    x = torch.randn(32, 3, 16, 16)
    net = build()
    found = predict(trace(net, x[:2]), read_spreads(net))
    seen = measure_signal(build, x, 2)
    assert found.gave_up == "" and [layer.path for layer in found.layers] == list(seen.paths)
    ratio = seen.mean_moment()[0] / [layer.moment for layer in found.layers]
    assert np.abs(ratio[:-1] - 1).max() < 0.25  # borders of 4 × 4 pixels, 32 channels and two seeds
    gradient = np.array([layer.gradient for layer in found.layers])
    alive = gradient > 0
    assert np.abs(seen.gradient_norm()[0][alive] / gradient[alive] - 1).max() < 0.35


def test_every_model_is_followed_to_its_end():
    for name in ("resnet20", "lenet5", "circulant", "transformer", "gru", "mlp"):
        shape = (16, 12) if name == "gru" else (3, 16, 16)
        net = getattr(tn, name)(shape, 4)
        chain = trace(net, torch.randn(2, *shape))
        assert predict(chain, read_spreads(net), activations=read_activations(net, chain)).gave_up == "", name


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (nn.LSTM(6, 4, bidirectional=True, batch_first=True), "both directions"),
        (nn.GRU(6, 4), "time before samples"),
        (tn.GruLayer(6, 4, norm="layer"), "norms inside recurrent cells"),
        (nn.MultiheadAttention(6, 2), "time before samples"),
    ],
)
def test_where_it_gives_up_it_says_why(model, why):
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = model

        def forward(self, x):
            return self.inner(x, x, x)[0] if isinstance(model, nn.MultiheadAttention) else self.inner(x)

    net = Own()
    found = predict(trace(net, torch.randn(2, 5, 6)), read_spreads(net))
    assert why in found.gave_up and "'inner'" in found.gave_up
