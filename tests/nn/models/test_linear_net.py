"""Deep linear nets (Saxe's dynamics) and the plain perceptron."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

import trainwell.nn as tn


def matrices(model: nn.Module) -> list[torch.Tensor]:
    return [layer.weight for layer in model if isinstance(layer, nn.Linear)]


def product(model: nn.Module) -> torch.Tensor:
    whole = torch.eye(matrices(model)[0].shape[1], dtype=matrices(model)[0].dtype)
    for weight in matrices(model):
        whole = weight @ whole
    return whole


@pytest.fixture
def exact():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("depth", [1, 3, 30])
@pytest.mark.parametrize("gain", [1.0, 0.9])
def test_orthogonal_start_has_all_singular_values_at_the_gain_to_the_depth(exact, depth, gain):
    model = tn.deep_linear((6,), 6, width=6, depth=depth, gain=gain)
    assert len(matrices(model)) == depth and len(list(model.parameters())) == depth  # no biases
    singular = torch.linalg.svdvals(product(model).detach())
    assert_close(singular, torch.full((6,), gain**depth), rtol=1e-11, atol=0)


def test_gaussian_start_spreads_them(exact):  # control
    singular = torch.linalg.svdvals(product(tn.deep_linear((6,), 6, width=6, depth=30, initialization="gaussian")))
    assert singular[0] / singular[-1] > 1e6


def test_gaussian_weights_have_variance_gain_squared_over_fan_in(exact):
    weight = matrices(tn.deep_linear((100,), 5, width=300, depth=2, initialization="gaussian", gain=1.5))[0]
    assert abs(weight.square().mean() * 100 / 1.5**2 - 1) < 4 * math.sqrt(2 / weight.numel())


def test_is_linear_in_its_input(exact):
    model = tn.deep_linear((2, 3), 4)
    x = torch.randn(5, 2, 3)
    assert_close(model(x), x.flatten(1) @ product(model).T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_mode_learns_as_saxe_et_al_predict(exact, depth):
    """du/dt = L u^{2 − 2/L}(s − u) for a balanced mode; Euler's error is first order in the rate: 1e-4 here."""
    strength, rate, steps = 0.3, 1e-4, 3000
    model = tn.deep_linear((1,), 1, width=1, depth=depth, gain=strength ** (1 / depth))
    with torch.no_grad():
        for weight in matrices(model):
            weight.abs_()
    predicted = strength
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        (0.5 * (product(model) - 2.0).square().sum()).backward()
        optimizer.step()
        for _ in range(10):  # ten times finer
            predicted += rate / 10 * depth * predicted ** (2 - 2 / depth) * (2.0 - predicted)
    assert product(model).item() == pytest.approx(predicted, abs=2e-3)
    assert predicted > 1.1 * strength


def test_rank_is_at_most_the_narrowest_width(exact):
    singular = torch.linalg.svdvals(product(tn.deep_linear((6,), 5, width=2, depth=3)))
    assert (singular > 1e-10).sum() == 2


@pytest.mark.parametrize(
    "options,message", [({"depth": 0}, "depth=0"), ({"width": 0}, "width=0"), ({"initialization": "x"}, "'x'")]
)
def test_wrong_options_of_the_linear_net_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tn.deep_linear((3,), 2, **options)


def test_plain_mlp_is_its_formula(exact):
    model = tn.plain_mlp((2, 3), 4, widths=(8, 5), activation="tanh")
    w, x = list(model.parameters()), torch.randn(3, 2, 3)
    wanted = torch.tanh(torch.tanh(x.flatten(1) @ w[0].T + w[1]) @ w[2].T + w[3]) @ w[4].T + w[5]
    assert_close(model(x), wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["relu", "tanh", "gelu", "maxout"])
def test_pre_activations_keep_variance_one_over_ten_layers(activation):
    """Each layer adds a relative fluctuation of at most √(5/width): 4 standard errors over 10 nets of width 512."""

    def last(scale: float) -> torch.Tensor:
        moments = []
        for _ in range(10):
            model = tn.plain_mlp((512,), 1, width=512, depth=10, activation=activation)
            with torch.no_grad():
                for weight in matrices(model)[:-1]:
                    weight *= scale
                moments.append(model[:-2](torch.randn(8, 512)).square().mean())
        return torch.stack(moments).mean()

    tolerance = 4 * math.sqrt(10 * 5 / 512 / 10)
    assert abs(last(1.0) - 1) < tolerance < abs(last(0.8) - 1)  # control: weights a fifth smaller


@pytest.mark.parametrize(
    "name,gain", [("plain_mlp", 2**0.5), ("circulant", 2**0.5), ("fourier_features", 2**0.5), ("random_features", 1.0)]
)
def test_heads_start_ten_times_smaller(name, gain):
    head = getattr(tn, name)((5,), 2000, width=100)[-1]
    assert abs(head.weight.std() / (0.1 * gain * 100**-0.5) - 1) < 4 / (2 * head.weight.numel()) ** 0.5 + 1e-3


@pytest.mark.parametrize("name", ["rnn", "gru", "lstm", "transformer"])
def test_heads_of_sequence_models_start_ten_times_smaller(name):
    head = getattr(tn, name)((5, 3), 2000, width=100)[-1]
    assert abs(head.weight.std() / (0.1 * 100**-0.5) - 1) < 4 / (2 * head.weight.numel()) ** 0.5


def test_norms_and_dropouts_stand_where_they_belong():
    model = tn.plain_mlp((4,), 2, width=6, depth=2, activation="maxout", norm="batch", dropout=0.5)
    kinds = [type(layer).__name__ for layer in model]
    assert kinds == ["Flatten", *["Linear", "BatchNorm1d", "Maxout", "Dropout"] * 2, "Linear"]
    assert [layer.out_features for layer in model if isinstance(layer, nn.Linear)] == [12, 12, 2]
    assert [type(layer).__name__ for layer in tn.plain_mlp((4,), 2, depth=0)] == ["Flatten", "Linear"]


def test_all_activations_and_norms_fit():
    from trainwell.nn.nonlinear.activations import ACTIVATIONS

    for activation in ACTIVATIONS:
        y = tn.plain_mlp((4,), 2, width=6, activation=activation)(torch.randn(3, 4))
        assert y.shape == (3, 2) and y.isfinite().all(), activation
    for norm in tn.NORMS:
        if norm in ("instance", "sync"):
            continue  # of images and sequences only; of several processes only
        assert tn.plain_mlp((4,), 2, width=8, norm=norm)(torch.randn(64, 4)).shape == (64, 2), norm


@pytest.mark.parametrize(
    "options,message",
    [({"widths": (4, 0)}, "without units"), ({"depth": -1}, "depth=-1"), ({"activation": "rule"}, "rule")],
)
def test_wrong_options_of_the_plain_mlp_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tn.plain_mlp((3,), 2, **options)
