"""Fixed features: sinusoids, random Fourier features and their kernel, frozen random layers and theirs."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn


def test_sinusoids_are_the_formula():
    x = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    angles = [[f * math.pi * value / 2 for value in (0.3, -0.7) for f in (1, 2, 4)]]
    wanted = [[0.3, -0.7, *map(math.sin, angles[0]), *map(math.cos, angles[0])]]
    features = tn.SinusoidalFeatures(3, scale=2.0).double()
    assert_close(features(x).tolist(), wanted, rtol=0, atol=1e-12)
    assert features.width(2) == 14
    without = tn.SinusoidalFeatures(3, scale=2.0, keep_input=False).double()
    assert_close(without(x).tolist(), [wanted[0][2:]], rtol=0, atol=1e-12)
    assert without.width(2) == 12


def test_frequencies_of_ones_own_make_the_cosines_of_the_lectures():
    """Deck G, THEORY G08: cos(πkx), k = 1 … p: orthogonal on a grid of midpoints, as the cosine transform."""
    p, n = 5, 40
    x = (torch.arange(n, dtype=torch.float64)[:, None] + 0.5) / n
    cosines = tn.SinusoidalFeatures(range(1, p + 1), keep_input=False).double()(x)[:, p:]
    assert_close(cosines.T @ cosines / n, torch.eye(p, dtype=torch.float64) / 2, rtol=0, atol=1e-12)


@settings(deadline=None)
@given(st.floats(-3, 3), st.integers(-5, 5), st.floats(0.5, 4))
def test_sinusoids_repeat_after_twice_the_scale(x, periods, scale):
    features = tn.SinusoidalFeatures(4, scale=scale, keep_input=False).double()
    here, there = (torch.tensor([[value]], dtype=torch.float64) for value in (x, x + 2 * scale * periods))
    assert_close(features(here), features(there), rtol=0, atol=1e-10)


@pytest.mark.parametrize("bandwidth", [0.7, 2.0, None])
def test_random_waves_estimate_the_gaussian_kernel(bandwidth):
    """Mean over 4000 independent draws within 4 standard errors; control: the kernel of half the bandwidth is not."""
    x, y = torch.tensor([[0.2, -0.1, 0.3], [-0.4, 0.5, 0.1]], dtype=torch.float64)
    sigma = bandwidth or math.sqrt(3)
    draws = []
    for _ in range(4000):
        features = tn.RandomFourierFeatures(3, 4, bandwidth=bandwidth).double()
        draws.append(features(x) @ features(y))
    products = torch.stack(draws)
    error = 4 * products.std() / len(draws) ** 0.5
    squared = (x - y).square().sum()
    assert abs(products.mean() - torch.exp(-squared / (2 * sigma**2))) < error
    assert abs(products.mean() - torch.exp(-squared / (2 * (sigma / 2) ** 2))) > error


def test_error_of_the_kernel_falls_with_the_root_of_the_number_of_features():
    x, y = torch.randn(2, 3, dtype=torch.float64)
    kernel = torch.exp(-(x - y).square().sum() / 6)
    errors = []
    for features in (50, 5000):
        maps = [tn.RandomFourierFeatures(3, features).double() for _ in range(100)]
        errors.append(torch.stack([(m(x) @ m(y) - kernel).square() for m in maps]).mean().sqrt())
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.4)  # 100 draws: each within 4 · 1/√200 = 28 %


@settings(deadline=None)
@given(st.integers(1, 5), st.integers(1, 20), st.floats(0.1, 10))
def test_fourier_features_have_norm_one_or_mean_square_one(inputs, half, bandwidth):
    x = torch.randn(4, inputs, dtype=torch.float64)
    features = tn.RandomFourierFeatures(inputs, 2 * half, bandwidth=bandwidth).double()
    assert_close(features(x).norm(dim=1), torch.ones(4, dtype=torch.float64), rtol=1e-12, atol=0)
    features.unit_norm = False
    assert_close(features(x).square().mean(1), torch.ones(4, dtype=torch.float64), rtol=1e-12, atol=0)


def arc_cosine(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    theta = torch.arccos(x @ y / (x.norm() * y.norm()))
    return x.norm() * y.norm() / (math.pi * len(x)) * (theta.sin() + (math.pi - theta) * theta.cos())


def test_random_relu_layer_estimates_the_arc_cosine_kernel():
    x, y = torch.randn(2, 5, dtype=torch.float64)
    layer = tn.RandomFeatures(5, 200_000).double()
    products = layer(x) * layer(y)
    error = 4 * products.std() / 200_000**0.5  # four standard errors
    assert abs(products.mean() - arc_cosine(x, y)) < error + 1e-5  # the gain is a quadrature over a kink: 1e-5
    assert abs(products.mean() - arc_cosine(x, y + 1)) > error  # control


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "sigmoid"])
def test_random_features_have_mean_square_one(activation):
    x = torch.randn(20)
    x *= math.sqrt(20) / x.norm()  # mean square 1
    values = tn.RandomFeatures(20, 100_000, activation=activation)(x).square()
    assert abs(values.mean() - 1) < 4 * values.std() / 100_000**0.5  # four standard errors


def test_biases_have_the_asked_standard_deviation():
    layer = tn.RandomFeatures(1, 50_000, bias_std=0.5)
    assert abs(layer.bias.std() - 0.5) < 4 * 0.5 / math.sqrt(2 * 50_000)
    assert not tn.RandomFeatures(1, 10).bias.any()


def test_only_the_head_of_a_random_feature_model_is_trained():
    model = tn.random_features((2, 3), 4, width=50)
    assert [name for name, _ in model.named_parameters()] == ["3.weight", "3.bias"]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, weight_decay=0.1)
    model(torch.randn(8, 2, 3)).square().sum().backward()
    optimizer.step()
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"3.weight", "3.bias"}
    assert {"1.weight", "1.bias"} <= set(before)  # and the random layer is saved


def test_as_many_features_as_samples_fit_any_targets_and_fewer_do_not():
    x, y = torch.randn(30, 4, dtype=torch.float64), torch.randn(30, 1, dtype=torch.float64)

    def residual(features: int) -> float:
        h = tn.RandomFeatures(4, features, bias_std=1.0).double()(x)
        return float((h @ torch.linalg.lstsq(h, y, driver="gelsd").solution - y).norm())

    assert residual(120) < 1e-8 < 1 < residual(15)


def test_fourier_front_learns_a_fast_wave_that_a_linear_model_cannot():
    x = torch.linspace(-1, 1, 64)[:, None]
    y = torch.sin(20 * x)

    def left(model: nn.Module) -> float:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(150):
            optimizer.zero_grad()
            loss = (model(x) - y).square().mean()
            loss.backward()
            optimizer.step()
        return loss.item()

    assert left(tn.fourier_features((1,), 1, bandwidth=0.1, depth=0)) < 0.02
    assert left(tn.plain_mlp((1,), 1, depth=1)) > 0.2  # control


def test_sinusoids_of_the_model_have_a_half_period_of_four():
    waves = tn.fourier_features((1,), 1, features="sinusoidal", frequencies=1, depth=0)[1](torch.tensor([[2.0]]))
    assert_close(waves, torch.tensor([[2.0, 1.0, 0.0]]))


@pytest.mark.parametrize(
    "layer",
    [
        tn.SinusoidalFeatures(2),
        tn.RandomFourierFeatures(3, 4),
        tn.RandomFeatures(3, 4, activation="tanh", bias_std=1.0),
    ],
    ids=["sinusoidal", "fourier", "random"],
)
def test_every_kind_has_gradients_precision_modes_and_one_graph(layer):
    x = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer.double(), (x,))
    each = torch.func.vmap(torch.func.jacrev(layer))(x)
    assert_close(each[1], torch.func.jacrev(layer)(x[1]), rtol=1e-12, atol=1e-12)
    layer.float()
    x = torch.randn(5, 3)
    assert torch.equal(layer(x), layer(x))
    assert layer(x[:0]).shape[0] == 0
    with torch.autocast("cpu", torch.bfloat16):
        assert_close(layer(x).float(), layer(x.float()).float(), rtol=0.05, atol=0.05)
    assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x), layer(x))
    torch.compiler.reset()


def test_generator_repeats_and_a_state_brings_the_features_back():
    for make in (tn.RandomFourierFeatures, tn.RandomFeatures):
        first, second = (make(3, 6, generator=torch.Generator().manual_seed(77)) for _ in range(2))
        other, x = make(3, 6), torch.randn(2, 3)
        assert torch.equal(first(x), second(x)) and not torch.equal(first(x), other(x))
        other.load_state_dict(first.state_dict())
        assert torch.equal(first(x), other(x))


@pytest.mark.parametrize("name,options", [("fourier_features", {"features": "sinusoidal"}), ("random_features", {})])
def test_trace_shows_all_parameters(name, options):
    model = getattr(tn, name)((4,), 2, **options)
    chain = tn.trace(model, torch.randn(2, 4))
    assert chain.incomplete == "" and chain.parameters == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(
    "call,message",
    [
        (lambda: tn.SinusoidalFeatures(0), r"frequencies=\[\]"),
        (lambda: tn.SinusoidalFeatures(scale=0.0), "scale=0"),
        (lambda: tn.RandomFourierFeatures(3, 5), "features=5"),
        (lambda: tn.RandomFourierFeatures(3, 4, bandwidth=-1.0), "bandwidth=-1"),
        (lambda: tn.RandomFeatures(3, 0), "features=0"),
        (lambda: tn.RandomFeatures(3, 2, bias_std=-1.0), "bias_std=-1"),
        (lambda: tn.fourier_features((3,), 2, features="cubic"), "features='cubic'"),
    ],
)
def test_wrong_use_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
