"""Weights and biases on the edge of chaos, in a net whose depth would show if they were not."""

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm
from torch import nn

from trainwell.init import apply_, critical_, identity_
from trainwell.nn.nonlinear.activations import ACTIVATIONS, activation, pieces
from trainwell.theory import critical


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def chain(name: str, depth: int, width: int) -> nn.Sequential:
    made = [m for _ in range(depth) for m in (nn.Linear(width, width * pieces(name)), activation(name))]
    return nn.Sequential(*made)


def gradient_ratio(net: nn.Sequential, x: torch.Tensor) -> float:
    leaf = x.clone().requires_grad_()
    y = net(leaf)
    back = torch.randn(y.shape, generator=seeded(1))
    return float(torch.autograd.grad((y * back).sum(), leaf)[0].square().sum() / back.square().sum())


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS if name not in ("softplus", "sigmoid")])
def test_gradients_survive_sixteen_layers(name):
    net, x = chain(name, 16, 256), torch.randn(32, 256, generator=seeded(2))
    torch.manual_seed(0)
    done = apply_(net, "critical", example=x[:1], generator=seeded())
    sigma_w, sigma_b = critical(name)
    assert all(row.gain == pytest.approx(sigma_w, rel=1e-6) and row.note == "" for row in done.layers)
    assert all(row.bias_std == pytest.approx(sigma_b, rel=1e-5) for row in done.layers)
    assert 0.1 < gradient_ratio(net, x) < 8


def test_without_the_edge_gradients_do_not_survive():  # control: tanh in the ordered and the chaotic phase
    net, x = chain("tanh", 16, 256), torch.randn(32, 256, generator=seeded(2))
    for std, low, high in ((0.8, 0.0, 0.01), (2.5, 8.0, 1e9)):
        for layer in net[::2]:
            nn.init.normal_(layer.weight, 0.0, std / 16, seeded())
            nn.init.zeros_(layer.bias)
        assert low < gradient_ratio(net, x) < high


def test_weights_and_biases_have_the_variances_of_theory():
    weight, bias = torch.empty(400, 500, dtype=torch.float64), torch.empty(20_000, dtype=torch.float64)
    point = critical_(weight, bias, "tanh", 0.5, generator=seeded())
    assert point == critical("tanh", 0.5)
    assert float(weight.std()) == pytest.approx(point.sigma_w / 500**0.5, rel=0.01)
    assert float(bias.std()) == pytest.approx(point.sigma_b, rel=0.03)
    kernel = torch.empty(8, 64, 3, 3, dtype=torch.float64)
    critical_(kernel, None, "relu", groups=2, generator=seeded())
    assert float(kernel.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)


def test_behind_relu_it_is_kaiming_and_the_head_has_gain_one():
    nets = [nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3)) for _ in range(2)]
    for net, scheme in zip(nets, ("critical", "kaiming"), strict=True):
        apply_(net, scheme, example=torch.zeros(1, 8), generator=seeded())
    for one, two in zip(*(net.parameters() for net in nets), strict=True):
        assert torch.equal(one, two)


def test_what_has_no_edge_is_told():
    net = nn.Sequential(nn.Linear(8, 8), nn.Softplus(), nn.Linear(8, 8, bias=False), nn.Tanh(), nn.Linear(8, 2))
    rows = apply_(net, "critical", example=torch.zeros(1, 8)).layers
    assert "1/√E φ² was used: critical: softplus has no edge" in rows[0].note and rows[0].bias_std == 0
    assert rows[0].gain == pytest.approx(1.0419, rel=1e-4)
    assert "needs biases of standard deviation 0.389; it has none" in rows[1].note
    with pytest.raises(ValueError, match="softplus has no edge of chaos at q=2"):
        critical_(torch.empty(3, 3), None, "softplus", 2.0)


def test_unknown_activation_of_the_user_gets_its_edge():
    class Arsinh(nn.Module):
        layer_kind = "activation"

        def forward(self, x):
            return torch.asinh(x)

    net = nn.Sequential(nn.Linear(8, 8), Arsinh(), nn.Linear(8, 2))
    row = apply_(net, "critical", example=torch.zeros(1, 8)).layers[0]
    slope = quad(lambda z: norm.pdf(z) / (1 + z * z), -10, 10)[0]
    square = quad(lambda z: norm.pdf(z) * np.arcsinh(z) ** 2, -10, 10)[0]
    assert row.gain == pytest.approx(slope**-0.5, rel=1e-6)
    assert row.bias_std**2 == pytest.approx(1 - square / slope, rel=1e-5)


def test_fixed_schemes():
    def drawn(scheme: str) -> nn.Sequential:
        net = nn.Sequential(nn.Linear(300, 200), nn.Tanh(), nn.Linear(200, 200))
        apply_(net, scheme, generator=seeded())
        return net

    assert not any(parameter.any() for parameter in drawn("zero").parameters())
    assert float(drawn("small_normal")[0].weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert float(drawn("large_normal")[0].weight.detach().std()) == pytest.approx(0.05, rel=0.02)
    constant = drawn("constant")
    assert torch.equal(constant[0].weight, torch.full((200, 300), 1 / 300))
    assert torch.equal(drawn("identity")[2].weight, torch.eye(200))


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_identity_hands_on_its_input(transposed, groups):
    for dims, kinds in enumerate(((nn.Conv1d, nn.ConvTranspose1d), (nn.Conv2d, nn.ConvTranspose2d)), start=1):
        layer = kinds[transposed](4, 4, 3, padding=1, groups=groups, bias=False)
        identity_(layer.weight, 2.0, groups=groups)
        x = torch.randn(2, 4, *[5] * dims)
        torch.testing.assert_close(layer(x), 2 * x)
    with pytest.raises(ValueError, match="floating-point"):
        identity_(torch.zeros(3, 3, dtype=torch.int64))
    with pytest.raises(ValueError, match="has no fans"):
        identity_(torch.zeros(3))
