import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell.init import lsuv_


def stack(bias: bool = False, dtype: torch.dtype = torch.float64) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, bias=bias, dtype=dtype),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(64, 16, bias=bias, dtype=dtype),
        nn.ReLU(),
        nn.Linear(16, 3, bias=bias, dtype=dtype),
    )


def variances(net: nn.Sequential, x: torch.Tensor) -> list[float]:
    found = []
    for layer in net:
        x = layer(x)
        if isinstance(layer, nn.Linear | nn.Conv2d):
            found.append(float(x.detach().var(correction=0)))
    return found


@settings(max_examples=15, deadline=None)
@given(target=st.floats(1e-3, 1e3), scale=st.floats(1e-3, 1e3))
def test_one_pass_is_exact_without_biases(target, scale):  # closed form, whatever the target and the scale of the data
    net, x = stack(), scale * torch.randn(32, 2, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    before = copy.deepcopy(net)
    done = lsuv_(net, x, target, tolerance=1e-9)
    assert variances(net, x) == pytest.approx([target] * 3, rel=1e-9)
    for row in done.layers:
        ratio = net.get_submodule(row.path).weight / before.get_submodule(row.path).weight
        assert_close(ratio, torch.full_like(ratio, row.factor))
        assert row.passes <= 2 and row.note == ""
        assert row.factor == pytest.approx((target / row.variance_before) ** 0.5)


def test_untouched_net_has_other_variances():  # control
    x = torch.randn(32, 2, 6, 6, dtype=torch.float64)
    assert max(abs(v - 1) for v in variances(stack(), x)) > 0.5


def test_biases_take_more_passes_and_a_healthy_net_none():
    net, x = stack(bias=True, dtype=torch.float32), torch.randn(64, 2, 6, 6)
    done = lsuv_(net, x, tolerance=0.001, passes=30)
    assert variances(net, x) == pytest.approx([1, 1, 1], rel=0.0011) and max(r.passes for r in done.layers) > 1
    weights = [p.clone() for p in net.parameters()]
    again = lsuv_(net, x)
    assert all(r.passes == 0 and r.factor == 1 for r in again.layers)
    assert all(torch.equal(a, b) for a, b in zip(weights, net.parameters(), strict=True))


def test_modes_buffers_hooks_and_random_state_are_as_found():
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2))
    net[3].eval()
    state = torch.get_rng_state()
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    lsuv_(net, torch.randn(16, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(buffers[name], value) for name, value in net.named_buffers())
    assert [m.training for m in net] == [True, True, True, False]
    assert not any(m._forward_hooks for m in net) and all(p.grad is None for p in net.parameters())


def test_what_cannot_be_scaled_is_left_and_named():
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)))
    net[1].requires_grad_(False)
    nn.init.zeros_(net[2].weight)
    net[3].weight = net[0].weight
    done = lsuv_(net, torch.randn(16, 4, generator=torch.Generator().manual_seed(0)), tolerance=1e-3)
    assert [r.note for r in done.layers[1:]] == [
        "Its weight is frozen.",
        "Its weight is zero.",
        "It shares its weight with a layer that was rescaled already.",
    ]


def test_bias_that_varies_more_than_the_target_is_said_to_miss_it():
    net = nn.Linear(4, 2)
    nn.init.constant_(net.bias[:1].detach(), 100.0)
    (row,) = lsuv_(net, torch.randn(16, 4)).layers
    assert row.passes == 10 and "misses the target after 10 passes" in row.note


def test_layers_that_do_not_run_are_named():
    net = nn.ModuleDict({"used": nn.Linear(4, 2), "spare": nn.Linear(4, 2)})
    net.forward = lambda x: net["used"](x)
    assert lsuv_(net, torch.randn(16, 4)).not_run == ("spare",)


def test_failure_leaves_the_weights_as_they_were():
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    nn.init.constant_(net[1].bias.detach(), float("inf"))
    before = net[0].weight.clone()
    with pytest.raises(ValueError, match="the output of 1 on the batch is not finite"):
        lsuv_(net, 100 * torch.randn(16, 4))
    assert torch.equal(net[0].weight, before) and not net[0]._forward_hooks


@pytest.mark.parametrize("options", [{"target": 0.0}, {"target": float("nan")}, {"tolerance": 0.0}, {"passes": 0}])
def test_impossible_arguments_are_refused_by_name(options):
    with pytest.raises(ValueError, match="is impossible"):
        lsuv_(nn.Linear(2, 2), torch.randn(4, 2), **options)
