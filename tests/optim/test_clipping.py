import io

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.optim import CLIPPERS, clip_, clipper


def model(seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Unflatten(1, (2, 5)), nn.Conv1d(2, 3, 2), nn.Flatten(), nn.Linear(12, 4)).to(dtype)
    (net(torch.randn(8, 10, dtype=dtype)) * 3).square().mean().backward()
    return net


def gradients(net):
    return [p.grad.clone() for p in net.parameters()]


def test_norm_keeps_the_direction_of_deck_k():  # THEORY S16: clip([3, 4], 1) = [0.6, 0.8]
    w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    w.grad = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert clip_("norm", [w], 1.0) == 5.0
    assert_close(w.grad, torch.tensor([0.6, 0.8], dtype=torch.float64), rtol=0, atol=1e-6)  # torch adds 1e-6 to ‖g‖


def test_norm_is_torchs_own_bit_for_bit():
    ours, theirs = model(dtype=torch.float32), model(dtype=torch.float32)
    norm = clip_("norm", ours.parameters(), 0.5)
    assert torch.equal(norm, nn.utils.clip_grad_norm_(theirs.parameters(), 0.5))
    assert all(torch.equal(a, b) for a, b in zip(gradients(ours), gradients(theirs), strict=True))


def slow(name, net, limit):
    """The gradients after clipping, unit by unit in loops."""
    found = []
    for p in net.parameters():
        g, w = p.grad.clone(), p.detach()
        if name == "value":
            g = g.clamp(-limit, limit)
        elif name == "layer":
            g *= min(1.0, limit / float(g.norm()))
        elif g.dim() <= 1:
            g *= min(1.0, limit * max(float(w.norm()), 1e-3) / float(g.norm()))
        else:
            for row, weight in zip(g, w, strict=True):
                row *= min(1.0, limit * max(float(weight.norm()), 1e-3) / float(row.norm()))
        found.append(g)
    return found


@pytest.mark.parametrize(("name", "limit"), [("value", 0.3), ("layer", 2.0), ("adaptive", 0.8)])
def test_others_follow_their_formula(name, limit):
    net = model()
    before, expected = gradients(net), slow(name, net, limit)
    norm = clip_(name, net.parameters(), limit)
    assert_close(norm, torch.cat([g.flatten() for g in before]).norm())
    for found, wanted in zip(gradients(net), expected, strict=True):
        assert_close(found, wanted, rtol=1e-12, atol=1e-14)
    changed = [not torch.equal(a, b) for a, b in zip(gradients(net), before, strict=True)]
    assert any(changed)


@pytest.mark.parametrize("name", CLIPPERS)
def test_a_large_limit_changes_nothing(name):  # control
    net = model()
    before, made = gradients(net), clipper(name, 1e6)
    made(net.parameters())
    assert all(torch.equal(a, b) for a, b in zip(gradients(net), before, strict=True))
    assert made.share() == 0.0 and made.seen > 0


@pytest.mark.parametrize("name", CLIPPERS)
def test_clipping_twice_is_clipping_once(name):
    net = model()
    clip_(name, net.parameters(), 0.2)
    once = gradients(net)
    clip_(name, net.parameters(), 0.2)
    for a, b in zip(gradients(net), once, strict=True):
        assert_close(a, b, rtol=2e-5, atol=0)  # torch's 1e-6 beside the norm


def test_counts_say_how_often_it_acted():
    w, b = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3))
    by_unit, by_layer, by_value, by_norm = (clipper(name, 0.5) for name in ("adaptive", "layer", "value", "norm"))
    for made in (by_unit, by_layer, by_value, by_norm):
        for size in (0.0, 10.0):
            w.grad = torch.tensor([[size, 0.1], [0.1, 0.1], [0.0, 0.0]])
            b.grad = torch.zeros(3)
            made([w, b])
    assert (int(by_unit.acted), by_unit.seen) == (1, 8)  # 3 rows and a vector, twice
    assert (int(by_layer.acted), by_layer.seen) == (1, 4)
    assert (int(by_value.acted), by_value.seen) == (1, 18)
    assert (int(by_norm.acted), by_norm.seen, by_norm.share()) == (1, 2, 0.5)


@pytest.mark.parametrize("name", CLIPPERS)
def test_counts_go_on_in_a_resumed_run(name):
    def act(made, times):
        for seed in range(times):
            made(model(seed).parameters())

    straight = clipper(name, 0.3)
    act(straight, 3)
    file = io.BytesIO()
    torch.save(straight.state_dict(), file)
    file.seek(0)
    resumed = clipper(name, 0.3)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    act(straight, 2)
    act(resumed, 2)
    assert torch.equal(straight.acted, resumed.acted) and straight.seen == resumed.seen and straight.share() > 0


@pytest.mark.parametrize("name", CLIPPERS)
def test_bfloat16_and_parameters_without_gradient(name):
    net = model(dtype=torch.bfloat16)
    net[1].weight.grad = None
    clip_(name, net.parameters(), 0.1)
    assert net[3].weight.grad.dtype == torch.bfloat16
    assert clip_(name, [nn.Parameter(torch.ones(2))]) == 0


def test_adaptive_lets_the_size_of_the_weights_decide():  # scaling w and g alike scales the result; by norm it does not
    for name, same in (("adaptive", True), ("norm", False)):
        small, large = model(), model()
        for p in large.parameters():
            p.data *= 8
            p.grad *= 8
        clip_(name, small.parameters(), 0.1)
        clip_(name, large.parameters(), 0.1)
        equal = [torch.allclose(8 * a, b) for a, b in zip(gradients(small), gradients(large), strict=True)]
        assert all(equal) == same


@pytest.mark.parametrize("name", CLIPPERS)
def test_what_cannot_be_clipped_is_refused(name):
    table = nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(ValueError, match="no sparse gradients"):
        clip_(name, table.parameters(), 1.0)
    for limit in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="above 0 and finite"):
            CLIPPERS[name](limit)


def test_unknown_clipper_names_the_known_ones():
    with pytest.raises(ValueError, match=r"'agc'.*norm, value, layer, adaptive"):
        clipper("agc")
