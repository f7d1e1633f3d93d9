import pytest
import torch
from torch import nn
from torch.testing import assert_close

from trainwell.objectives import CONSTRAINTS, constrain_, constraint_hook
from trainwell.objectives.constraints import constrainable

OUTSIDE = {  # how far a matrix is outside of the set of size r; independent of the projections
    "max_norm": lambda w, r: w.norm(dim=1).max() - r,
    "l2_ball": lambda w, r: w.norm() - r,
    "l1_ball": lambda w, r: w.abs().sum() - r,
    "simplex": lambda w, r: torch.maximum((w.sum(1) - r).abs().max(), -w.min()),
    "box": lambda w, r: w.abs().max() - r,
    "binary_box": lambda w, r: w.abs().max() - r,
    "nonnegative": lambda w, r: -w.min(),
    "unit_spectral_norm": lambda w, r: torch.linalg.svdvals(w).max() - r,
    "orthogonal": lambda w, r: (torch.linalg.svdvals(w) - r).abs().max(),
    "stiefel": lambda w, r: (torch.linalg.svdvals(w) - r).abs().max(),
    "unit_columns": lambda w, r: (w.norm(dim=0) - r).abs().max(),
}
every = pytest.mark.parametrize("name", CONSTRAINTS)


def network(scale=3.0):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(12, 4)).double()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(scale).add_(0.1)
    return net


def test_every_set_is_tested():
    assert set(OUTSIDE) == set(CONSTRAINTS)
    assert {name: c.limit for name, c in CONSTRAINTS.items() if c.limit != 1} == {"max_norm": 3.0}  # Srivastava: 3 to 4


@every
@pytest.mark.parametrize("limit", [None, 0.4])
def test_weights_end_in_the_set_and_nothing_else_moves(name, limit):
    net = network(30.0)
    before = {key: value.clone() for key, value in net.state_dict().items()}
    assert constrain_(net, name, limit) == ["0.weight", "3.weight"]
    size = CONSTRAINTS[name].limit if limit is None else limit
    for key, value in net.state_dict().items():
        if key in ("0.weight", "3.weight"):
            flat = value.flatten(1) if name != "unit_columns" else value.view(len(value), -1)
            assert OUTSIDE[name](flat, size) < 1e-12
            assert OUTSIDE[name](before[key].flatten(1), size) > 1e-3  # control
        else:
            assert torch.equal(value, before[key])
    after = {key: value.clone() for key, value in net.state_dict().items()}
    constrain_(net, name, limit)
    assert_close(net.state_dict(), after, rtol=1e-10, atol=1e-12)  # idempotent


@every
def test_no_point_of_the_set_nearby_is_nearer(name):
    project, limit = CONSTRAINTS[name].project, 0.7
    generator = torch.Generator().manual_seed(0)
    point = torch.randn(4, 3, dtype=torch.float64, generator=generator)
    nearest = project(point, limit)
    for scale in (1e-3, 0.1, 1.0):
        for _ in range(20):
            other = project(nearest + scale * torch.randn(4, 3, dtype=torch.float64, generator=generator), limit)
            assert (other - point).norm() >= (nearest - point).norm() - 1e-9


@every
def test_training_keeps_the_constraint_after_every_step_and_without_the_hook_it_does_not(name):
    x, y = torch.randn(20, 2, 4, 4, dtype=torch.float64), torch.arange(20) % 4
    held = {}
    for hooked in (True, False):
        net = network()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.5, momentum=0.9)
        if hooked:
            optimizer.register_step_post_hook(constraint_hook(net, name, 0.2))
        worst = 0.0
        for _ in range(5):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
            worst = max(worst, float(OUTSIDE[name](net[3].weight.detach(), 0.2)))
        held[hooked] = worst
    assert held[True] < 1e-12 < 1e-3 < held[False]


def test_a_pattern_chooses_and_parametrized_weights_are_left_to_their_own_constraint():
    net = network()
    assert constrain_(net, "box", only="3.*") == ["3.weight"]
    nn.utils.parametrizations.orthogonal(net[3])
    assert list(constrainable(net)) == ["0.weight"]


@every
def test_half_precision_is_projected_and_rounded(name):
    net = network().bfloat16()
    constrain_(net, name, 0.5)
    assert net[3].weight.dtype == torch.bfloat16
    assert OUTSIDE[name](net[3].weight.detach().float(), 0.5) < 0.02


def test_a_diverged_weight_is_left_for_the_loop_to_see():
    net = network()
    nn.init.constant_(net[3].weight, torch.nan)
    for name in CONSTRAINTS:
        constrain_(net, name)
    assert net[3].weight.isnan().all()


def test_an_unknown_name_a_bad_limit_and_no_weight_are_named():
    net = network()
    with pytest.raises(ValueError, match=r"No constraint is called 'ball'.*max_norm"):
        constraint_hook(net, "ball")
    with pytest.raises(ValueError, match="box: the limit is 0"):
        constrain_(net, "box", 0)
    with pytest.raises(
        ValueError, match=r"No weight|no weight of the model is called 'head\.\*'.*0\.weight, 3\.weight"
    ):
        constrain_(net, "box", only="head.*")
