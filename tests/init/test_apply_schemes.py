import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations

from trainwell.init import SCHEMES, apply_
from trainwell.init.following import gain_of
from trainwell.nn import Maxout, mlp, resnet20
from trainwell.nn.nonlinear import activations as named


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        nn.LeakyReLU(0.5),
        nn.ConvTranspose2d(64, 32, 3, padding=1, groups=2),
        nn.MaxPool2d(2),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(32 * 16, 200),
        nn.ReLU(),
        nn.Linear(200, 50),
    )


@pytest.mark.parametrize("name", named.ACTIVATIONS)
def test_there_is_one_gain(name):
    assert gain_of(named.activation(name)) == pytest.approx(named.gain(name), rel=1e-7)  # PReLU's slope is float32


def test_gains_in_closed_form():
    assert gain_of(nn.ReLU()) == pytest.approx(2**0.5, rel=1e-6)
    assert gain_of(nn.LeakyReLU(0.5)) == pytest.approx((2 / 1.25) ** 0.5, rel=1e-6)
    assert gain_of(nn.PReLU(3, init=0.5)) == pytest.approx((2 / 1.25) ** 0.5, rel=1e-6)
    assert gain_of(Maxout()) == pytest.approx(1.0, rel=1e-12)
    assert gain_of(nn.ReLU6()) == pytest.approx(2**0.5, rel=1e-6)
    assert gain_of(nn.Threshold(50, 0.0)) is None


def test_each_layer_gets_the_gain_of_what_follows_it():
    net = small()
    done = apply_(net, "kaiming", example=torch.randn(2, 3, 8, 8), generator=seeded())
    assert [(r.path, r.kind, r.fan_in, r.fan_out, r.nonlinearity) for r in done.layers] == [
        ("0", "conv", 27, 576, "LeakyReLU"),
        ("3", "conv", 288, 144, "Tanh"),
        ("7", "linear", 512, 200, "ReLU"),
        ("9", "linear", 200, 50, "none"),
    ]
    assert [r.gain for r in done.layers] == pytest.approx([(2 / 1.25) ** 0.5, 1.5926, 2**0.5, 1.0], rel=1e-4)
    for row in done.layers:
        weight = net[int(row.path)].weight
        assert row.std_after == pytest.approx(float(weight.detach().std(correction=0)))
        assert row.std_after == pytest.approx(row.gain / row.fan_in**0.5, rel=4 / (2 * weight.numel()) ** 0.5)
        assert not net[int(row.path)].bias.any() and row.note == ""
    assert done.left == {"1": "BatchNorm2d is no linear layer or convolution."} and done.incomplete == ""


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_every_scheme_fills_every_layer_repeatably(scheme, dtype):
    one, two = small().to(dtype), small().to(dtype)
    state = torch.get_rng_state()
    for net in (one, two):
        done = apply_(net, scheme, example=torch.zeros(1, 3, 8, 8, dtype=dtype), generator=seeded())
        assert len(done.layers) == 4
        assert all((row.std_after > 1e-6) == (scheme not in ("zero", "constant")) for row in done.layers)
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), two.parameters(), strict=True))
    assert torch.equal(torch.get_rng_state(), state) and one.training
    assert bool((one[1].weight == 1).all())


def test_kaiming_keeps_the_second_moment_of_a_deep_net_and_xavier_lets_it_vanish():  # claim and control
    net = nn.Sequential(*[layer for _ in range(20) for layer in (nn.Linear(256, 256), nn.ReLU())])
    x = torch.randn(64, 256, generator=seeded())
    moment = {}
    for scheme in ("kaiming", "xavier"):
        apply_(net, scheme, example=x, generator=seeded())
        with torch.no_grad():
            moment[scheme] = float(net[:-2](x).square().mean() / net[:2](x).square().mean())
    assert 0.1 < moment["kaiming"] < 10  # one net: relative standard deviation √((1 + 5/256)^18 − 1) = 0.65
    assert moment["xavier"] < 10 * 2.0**-18


def test_kernel_that_cannot_be_delta_orthogonal_is_orthogonal_and_the_table_says_so():
    net = nn.Sequential(nn.Conv2d(8, 4, 3), nn.Conv2d(4, 4, 3))
    rows = apply_(net, "delta_orthogonal", example=torch.zeros(1, 8, 9, 9)).layers
    assert "orthogonal_ was used: delta_orthogonal_" in rows[0].note and rows[1].note == ""
    assert net[1].weight.count_nonzero() == 16 and net[0].weight.count_nonzero() == 288


def test_without_example_the_published_gain_is_used_and_the_table_says_so():
    rows = apply_(small(), "kaiming").layers
    assert [r.gain for r in rows] == [2**0.5] * 4
    assert all(r.nonlinearity == "unknown" and "No example was given" in r.note for r in rows)


class Functional(nn.Module):
    """Nonlinearities as functions, a branch, a layer that does not run."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.spare = nn.Linear(6, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x):
        x = F.leaky_relu(self.first(x), 0.3)
        return x + self.second(x)


def test_says_where_it_gives_up():
    done = apply_(Functional(), "kaiming", example=torch.zeros(1, 6))
    assert [(r.nonlinearity, r.gain > 1.41) for r in done.layers] == [
        ("LeakyReLU", True),
        ("unknown", True),
        ("unknown", True),
    ]
    assert [r.note.split(":")[0] for r in done.layers] == [
        "The settings of 'leaky_relu()' cannot be seen; torch's own were assumed.",
        "Its output goes into add at 'add()'.",
        "It does not run on the example.",
    ]
    assert "spare.weight" in done.incomplete


def test_branch_that_starts_as_its_shortcut_stays_so_but_a_sick_zero_layer_does_not():
    net = mlp((5,), 3, width=8, depth=2)
    done = apply_(net, "kaiming", example=torch.zeros(2, 5))
    branches = [path for path, why in done.left.items() if "starts as its shortcut" in why]
    assert len(branches) == 2 and not any(net.get_submodule(path).weight.any() for path in branches)
    sick = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 4))
    for parameter in sick.parameters():
        nn.init.zeros_(parameter)
    assert all(row.std_after > 0 for row in apply_(sick, "kaiming", example=torch.zeros(2, 4)).layers)


def test_frozen_shared_computed_and_foreign_weights_are_left_alone():
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(4)), nn.MultiheadAttention(4, 1))
    net[0].requires_grad_(False)
    net[2].weight = net[1].weight
    parametrizations.weight_norm(net[3])
    before = {name: value.clone() for name, value in net.state_dict().items()}
    done = apply_(net, "xavier")
    assert [row.path for row in done.layers] == ["1"]
    assert done.left == {
        "0": "Its weight is frozen.",
        "2": "It shares its weight with a layer that was drawn already.",
        "3": "Its weight is computed from other parameters.",
        "4": "MultiheadAttention is no linear layer or convolution.",
    }
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias", "2.weight"}


def test_our_residual_net_is_left_with_its_norms():
    net = resnet20((3, 8, 8), 10)
    done = apply_(net, "kaiming", example=torch.zeros(1, 3, 8, 8))
    assert len(done.layers) == 20 and len(done.left) == 19
    assert sum(row.nonlinearity == "ReLU" for row in done.layers) == 10


def test_unknown_scheme_and_lazy_layers_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'kaiming'"):
        apply_(small(), "kaimng")
    with pytest.raises(ValueError, match=r"0\.weight has no shape yet"):
        apply_(nn.Sequential(nn.LazyLinear(3)), "kaiming")
