import pytest
import torch
from torch import nn

from trainwell.nn import ImageInput, Predictor, cnn, mlp, resnet20
from trainwell.optim import decay_groups, schedule
from trainwell.training.layer_rates import ULMFIT, layer_groups, layer_rates_, rate_groups


def heads(groups):
    """The last name of each group's first parameter's module."""
    return [group[0].rpartition(".")[0] for group in groups]


class Encoder(nn.Module):
    """As a vision transformer registers its parts."""

    def __init__(self, depth=3):
        super().__init__()
        self.token = nn.Parameter(torch.zeros(1, 1, 4))
        self.embed = nn.Linear(4, 4)
        self.blocks = nn.Sequential(*(nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4)) for _ in range(depth)))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.norm(self.blocks(self.embed(x) + self.token[0])))


def test_groups_are_the_blocks_with_the_vectors_that_follow_them():
    assert heads(layer_groups(cnn((3, 16, 16), 10, width=8))) == ["0", "3", "7", "10", "14", "19"]
    assert heads(layer_groups(mlp((5,), 2, depth=3))) == ["1", "2.norm", "3.norm", "4.norm", "8"]
    groups = layer_groups(Encoder())
    assert groups[0] == ["token", "embed.weight", "embed.bias"]
    assert heads(groups[1:]) == ["blocks.0.0", "blocks.1.0", "blocks.2.0", "head"]
    assert groups[3][-2:] == ["norm.weight", "norm.bias"]


@pytest.mark.parametrize("body", [resnet20((3, 8, 8), 4), cnn((3, 8, 8), 4), Encoder(), nn.Linear(2, 2)])
def test_groups_hold_every_parameter_once(body):  # property
    model = Predictor(ImageInput([0.5], [1.0]), body)
    names = [name for group in layer_groups(model) for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert all(layer_groups(model))


def test_order_is_that_of_execution_where_an_example_is_given():
    class Backwards(nn.Module):
        def __init__(self):
            super().__init__()
            self.head, self.stem = nn.Linear(3, 2), nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.stem(x))

    assert heads(layer_groups(Backwards())) == ["head", "stem"]
    assert heads(layer_groups(Backwards(), example=torch.zeros(1, 4))) == ["stem", "head"]


def test_rates_fall_by_the_factor_from_output_to_input():  # closed form: η_l = η d^(L − l)
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(4)))
    groups = rate_groups(net, 0.1, weight_decay=0.3)
    rates = {id(p): group["lr"] for group in groups for p in group["params"]}
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    for place, layer in enumerate(net):
        for parameter in layer.parameters():
            assert rates[id(parameter)] == pytest.approx(0.1 * 2.6 ** -(3 - place), rel=1e-12)
            assert decays[id(parameter)] == (0.3 if parameter.dim() > 1 else 0.0)
    assert groups[0]["lr"] == 0.1  # what logs show


@pytest.mark.parametrize("name", ["one-cycle", "cosine", "linear"])
def test_ratios_hold_through_a_schedule(name):
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    optimizer = torch.optim.SGD(rate_groups(net, 0.1, 0.5))
    scheduler = schedule(optimizer, name, 20, warmup=0.3)
    peaks = []
    for _ in range(19):
        rates = [group["lr"] for group in optimizer.param_groups]
        assert rates == pytest.approx([rates[0] * factor for factor in (1, 1, 0.5, 0.5, 0.25, 0.25)], rel=1e-12)
        peaks.append(rates[0])
        optimizer.step()
        scheduler.step()
    assert max(peaks) > 5 * min(peaks)


@pytest.mark.parametrize("fused", [False, True])
def test_any_optimizer_is_split_and_keeps_its_options(fused):
    net = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    made = torch.optim.AdamW(decay_groups(net, 0.3), lr=0.1, betas=(0.8, 0.9), fused=fused)
    optimizer = layer_rates_(made, net, 0.5)
    assert optimizer is made and len(optimizer.param_groups) == 4
    assert [(g["lr"], g["weight_decay"]) for g in optimizer.param_groups] == [
        (0.1, 0.3),
        (0.1, 0.0),
        (0.05, 0.3),
        (0.05, 0.0),
    ]
    assert all(g["betas"] == (0.8, 0.9) and g["fused"] == fused for g in optimizer.param_groups)
    twin = nn.Sequential(nn.Linear(2, 3), nn.LayerNorm(3), nn.Linear(3, 1))
    twin.load_state_dict(net.state_dict())
    other = torch.optim.AdamW(rate_groups(twin, 0.1, 0.5, 0.3), betas=(0.8, 0.9))
    for model, method in ((net, optimizer), (twin, other)):
        model(torch.ones(4, 2)).sum().backward()
        method.step()
    for a, b in zip(net.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)


def test_a_factor_of_one_changes_no_rate():  # control
    net = cnn((1, 8, 8), 2, width=8)
    assert {group["lr"] for group in rate_groups(net, 0.1, 1.0)} == {0.1}
    assert pytest.approx(1 / 2.6) == ULMFIT


def test_frozen_parameters_make_no_group():
    net = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    net[2].requires_grad_(False)
    groups = rate_groups(net, 0.1, 0.5)
    assert [group["lr"] for group in groups] == [0.1, 0.1, 0.05, 0.05]
    assert groups[0]["params"][0] is net[1].weight


def test_wrong_use_is_refused():
    net = nn.Linear(2, 1)
    for decay in (0.0, 1.5, float("nan")):
        with pytest.raises(ValueError, match="must lie in"):
            rate_groups(net, 0.1, decay)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    schedule(optimizer, "linear", 5)
    with pytest.raises(ValueError, match="has state or a scheduler"):
        layer_rates_(optimizer, net, 0.5)
