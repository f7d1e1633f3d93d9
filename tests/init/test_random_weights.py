import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell import init

RULES = {
    "lecun": (init.lecun_, lambda i, o: 1 / (3 * i)),
    "xavier": (init.xavier_, lambda i, o: 2 / (i + o)),
    "kaiming": (init.kaiming_, lambda i, o: 2 / i),
    "geometric_mean": (init.geometric_mean_, lambda i, o: 2 / (i * o) ** 0.5),
}


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize(("shape", "groups"), [((300, 200), 1), ((64, 12, 3, 3), 1), ((90, 10, 5, 5), 3)])
@pytest.mark.parametrize("transposed", [False, True])
def test_variance_is_the_rule(name, shape, groups, transposed):  # closed form
    rule, variance = RULES[name]
    weight = rule(torch.empty(shape), groups=groups, transposed=transposed, generator=seeded())
    expected = variance(*init.fans(weight, groups=groups, transposed=transposed))
    kurtosis = 3.0 if name in ("kaiming", "geometric_mean") else 1.8
    standard_error = expected * ((kurtosis - 1) / weight.numel()) ** 0.5
    assert abs(weight.double().square().mean() - expected) < 4 * standard_error
    assert abs(weight.double().mean()) < 4 * (expected / weight.numel()) ** 0.5


@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_where_torch_has_the_rule_the_numbers_are_its_own(distribution):
    ours, theirs = torch.empty(33, 20, 3), torch.empty(33, 20, 3)
    for fan in ("in", "out"):
        init.kaiming_(ours, negative_slope=0.2, fan=fan, distribution=distribution, generator=seeded())
        getattr(nn.init, f"kaiming_{distribution}_")(theirs, a=0.2, mode=f"fan_{fan}", generator=seeded())
        assert_close(ours, theirs)
    init.xavier_(ours, 1.5, distribution=distribution, generator=seeded())
    assert_close(ours, getattr(nn.init, f"xavier_{distribution}_")(theirs, 1.5, generator=seeded()))
    assert_close(init.lecun_(ours, generator=seeded()), nn.init.kaiming_uniform_(theirs, a=5**0.5, generator=seeded()))
    assert ours.abs().max() <= 60**-0.5


@settings(max_examples=30, deadline=None)
@given(
    shape=st.lists(st.integers(1, 6), min_size=2, max_size=5),
    name=st.sampled_from(sorted(RULES)),
    gain=st.floats(0, 10),
    dtype=st.sampled_from([torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn]),
)
def test_any_shape_and_dtype_in_place_and_repeatable_and_linear_in_the_gain(shape, name, gain, dtype):  # property
    rule, global_state = RULES[name][0], torch.get_rng_state()
    weight = nn.Parameter(torch.empty(shape, dtype=dtype))
    assert rule(weight, gain, generator=seeded()) is weight and weight.dtype == dtype
    if dtype in (torch.float32, torch.float64):
        assert_close(weight.detach(), gain * rule(torch.empty(shape, dtype=dtype), 1.0, generator=seeded()))
    assert weight.requires_grad and weight.is_leaf
    assert torch.equal(torch.get_rng_state(), global_state)


def second_moments(std: float, width: int = 256, depth: int = 10, nets: int = 60) -> torch.Tensor:
    """Ratio of E[h²] of one ReLU layer to the one before, mean over layers and nets, and its standard error."""
    generator, ratios = seeded(), []
    for _ in range(nets):
        h = torch.randn(width, generator=generator)
        for _ in range(depth):
            before = h.square().mean()
            h = torch.relu(init.normal_(torch.empty(width, width), std, generator=generator) @ h)
            ratios.append(h.square().mean() / before)
    values = torch.stack(ratios)
    return torch.stack((values.mean(), values.std() / len(ratios) ** 0.5))


@pytest.mark.parametrize(("rule", "factor"), [(init.kaiming_, 1.0), (init.xavier_, 0.5)])
def test_kaiming_keeps_the_second_moment_under_relu_and_xavier_halves_it(rule, factor):  # claim and control
    std = float(rule(torch.empty(256, 256), distribution="normal", generator=seeded()).std())
    mean, error = second_moments(std)
    assert abs(mean - factor) < 4 * error + factor * 4 * (2 / 256**2) ** 0.5
    assert abs(mean - 1.5 + factor) > 20 * error  # the other one's factor is out of the question


def test_variance_of_the_misprint_multiplies_the_second_moment_by_the_root_of_the_width():
    mean, error = second_moments((2 / 256**0.5) ** 0.5)
    assert abs(mean - 256**0.5) < 4 * error


def ratio_of_gradients(rule, widths=(64, 512, 128, 256), nets: int = 200) -> torch.Tensor:
    """E g² / E W² of each hidden ReLU layer, the gradient on top being Gaussian; shape (len(widths) − 1,)."""
    generator, total = seeded(), torch.zeros(len(widths) - 1)
    for _ in range(nets):
        weights = [rule(torch.empty(o, i), generator=generator).requires_grad_() for i, o in itertools.pairwise(widths)]
        h = torch.randn(widths[0], generator=generator).relu()
        for weight in weights:
            h = torch.relu(weight @ h)
        gradients = torch.autograd.grad(h @ torch.randn(widths[-1], generator=generator), weights)
        total += torch.tensor(
            [float(g.square().mean() / w.detach().square().mean()) for g, w in zip(gradients, weights, strict=True)]
        )
    return total


def test_geometric_mean_makes_relative_gradients_equal_and_kaiming_does_not():  # claim and control
    ours, control = ratio_of_gradients(init.geometric_mean_), ratio_of_gradients(init.kaiming_)
    assert ours.max() / ours.min() < 1.3  # exactly 1 in the mean
    assert control.max() / control.min() > 16  # ∝ n_l / n_{l+1}: 1/8, 4, 1/2: 32


def test_constants():
    weight = torch.empty(3, 4, dtype=torch.bfloat16)
    assert init.constant_(weight, 0.5) is weight and bool((weight == 0.5).all())
    assert not init.zero_(nn.Parameter(weight)).any()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: init.kaiming_(torch.empty(4)), "has no fans"),
        (lambda: init.xavier_(torch.empty(4, 4, dtype=torch.int64)), "dtype torch.int64 cannot hold"),
        (lambda: init.lecun_(torch.empty(4, 4), -1.0), "standard deviation of -0"),
        (lambda: init.normal_(torch.empty(4), float("nan")), "standard deviation of nan"),
        (lambda: init.kaiming_(torch.empty(4, 4), fan="both"), "fan='both'"),
        (lambda: init.xavier_(torch.empty(4, 4), distribution="cauchy"), "distribution='cauchy'"),
        (lambda: init.constant_(torch.empty(2), float("inf")), "value=inf"),
        (lambda: init.zero_(torch.empty(2, dtype=torch.int32)), "dtype torch.int32"),
    ],
)
def test_impossible_arguments_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()
