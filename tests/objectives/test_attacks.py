from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from trainwell.nn import ImageInput, Predictor, TableInput
from trainwell.objectives import ATTACKS, Attack, fgsm, pgd

every = pytest.mark.parametrize("name", ATTACKS)
cross_entropy = nn.CrossEntropyLoss()


def linear(seed=0):
    """Two classes by the sign of wᵀx: scores (0, wᵀx)."""
    w = torch.randn(5, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))

    class Model(nn.Module):
        def forward(self, x):
            return torch.stack([x.new_zeros(len(x)), x @ w], 1)

    return Model(), w


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.BatchNorm1d(16), nn.Dropout(0.5), nn.Tanh(), nn.Linear(16, 3)).double()


def batch(n=10):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(n, 4, dtype=torch.float64, generator=generator), torch.arange(n) % 3


def test_of_a_linear_score_the_worst_point_is_known():  # G06: margin less ε‖w‖₁, and ε‖w‖₂ for L2
    model, w = linear()
    x, y = torch.randn(6, 5, dtype=torch.float64), torch.tensor([0, 1, 0, 1, 0, 1])
    side, radius = (1 - 2.0 * y.double())[:, None], 0.1  # class 1 is made wrong by lowering wᵀx
    at_corner, on_sphere = x + side * radius * w.sign(), x + side * radius * w / w.norm()
    assert_close(fgsm(model, x, y, cross_entropy, radius), at_corner, rtol=0, atol=1e-14)
    assert_close(pgd(model, x, y, cross_entropy, radius, steps=40), at_corner, rtol=0, atol=1e-12)
    assert_close(
        pgd(model, x, y, cross_entropy, radius, norm="l2", steps=40, step=1.0), on_sphere, rtol=0, atol=1e-7
    )  # √eps: flat
    lost = ((x - at_corner) @ w).abs()
    assert_close(lost, torch.full_like(lost, radius * float(w.abs().sum())))
    noise = x + radius * torch.randn(6, 5, dtype=torch.float64).sign()  # control: a random corner
    assert cross_entropy(model(noise), y) < cross_entropy(model(at_corner), y) - 1e-3


@every
@settings(max_examples=15, deadline=None)
@given(radius=st.floats(1e-3, 2.0), steps=st.integers(1, 4), seed=st.integers(0, 99), step=st.floats(0.1, 3.0))
def test_inputs_stay_in_the_ball_and_in_the_box(name, radius, steps, seed, step):
    net, (x, y) = network().eval(), batch()
    torch.manual_seed(seed)
    attack = Attack(name, radius, steps, step=step, range=(0.0, 1.0))
    found = attack.craft(net, x, y, cross_entropy)
    moved = found.x - x
    size = moved.flatten(1).norm(dim=1) if name == "pgd_l2" else moved.abs().amax(1)
    assert size.max() <= radius * (1 + 1e-9)
    assert found.x.min() >= 0 and found.x.max() <= 1
    each = nn.CrossEntropyLoss(reduction="none")
    assert (found.loss >= each(net(x), y).detach() - 1e-12).all()  # no attack is weaker than none
    assert_close(found.loss, each(net(found.x), y).detach())
    assert_close(found.output, net(found.x).detach())


@pytest.mark.parametrize("name", ["pgd_linf", "pgd_l2"])
def test_more_steps_of_the_same_size_and_more_restarts_are_never_weaker(name):
    net, (x, y) = network(), batch(20)
    for seed in range(3):
        losses = []
        for steps, restarts in ((1, 1), (3, 1), (9, 1), (9, 3)):
            torch.manual_seed(seed)
            attack = Attack(name, 0.3, steps, step=0.5, restarts=restarts)
            losses.append(attack.craft(net, x, y, cross_entropy).loss)
        for weak, strong in pairwise(losses):
            assert (strong >= weak - 1e-12).all()
        assert losses[-1].mean() > losses[0].mean()


@every
def test_the_loss_rises_along_a_path_of_small_steps(name):
    net, (x, y) = network(), batch(20)
    found = Attack(name, 0.05, 10, step=0.1, random_start=False).craft(net, x, y, cross_entropy)
    assert found.path.shape == ((3 if name == "fgsm" else 12), 20)
    assert (found.path[1:].diff(dim=0) > -1e-9).all()


@every
def test_a_targeted_attack_lowers_the_loss_of_its_target(name):
    net, (x, y) = network().eval(), batch()
    target = (y + 1) % 3
    found = Attack(name, 0.3, 5, targeted=True)(net, x, target, cross_entropy)
    before, after = (cross_entropy(net(z), target) for z in (x, found))
    assert after < before - 0.01
    assert Attack(name, 0.3, 5)(net, x, target, cross_entropy).sub(found).abs().max() > 0.1  # control


@every
def test_the_model_is_left_as_it_was(name):
    net, (x, y) = network(), batch()
    net.train()
    net[1].eval()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    net[0].weight.grad = torch.full_like(net[0].weight, 7.0)
    with torch.no_grad():
        found = Attack(name, 0.1, 2)(net, x, y, cross_entropy)
    assert [m.training for m in net] == [True, False, True, True, True] and net.training
    assert_close(net.state_dict(), state, rtol=0, atol=0)
    assert (net[0].weight.grad == 7).all() and net[4].weight.grad is None
    assert not found.requires_grad and not x.requires_grad


def test_bytes_are_moved_within_their_range_by_a_share_of_it():
    torch.manual_seed(0)
    body = nn.Sequential(nn.Flatten(), nn.Linear(12, 3))
    net = Predictor(ImageInput([0.5] * 3, [0.25] * 3), body)
    x, y = torch.randint(0, 256, (8, 3, 2, 2), dtype=torch.uint8), torch.arange(8) % 3
    found = Attack("fgsm", 8 / 255)(net, x, y, cross_entropy)
    assert found.dtype == torch.float32 and found.min() >= 0 and found.max() <= 255
    moved = (found - x).abs()
    assert moved.max() == pytest.approx(8, abs=1e-3)
    inside = (x > 8) & (x < 247)
    assert_close(moved[inside], torch.full_like(moved[inside], 8.0), rtol=1e-4, atol=1e-3)
    floats = Attack("fgsm", 8 / 255, range=(0.0, 255.0))(net, x.float(), y, cross_entropy)
    assert_close(floats, found)


def table():
    torch.manual_seed(0)
    prepare = TableInput([0.0, 10.0], [1.0, 5.0], [0.0, 10.0], [[-1.0, 0.0, 1.0], [5.0, 10.0, 15.0]], [0.1, 0.0], [3])
    x = {
        "numbers": torch.tensor([[0.5, 12.0], [torch.nan, 8.0], [-0.3, 9.0]]),
        "categories": torch.tensor([[0], [2], [-1]]),
    }
    return Predictor(prepare, nn.Linear(*prepare.shape, 2)), x, torch.tensor([0, 1, 0])


@every
def test_of_a_table_the_numbers_move_by_their_units_and_gaps_stay(name):
    net, x, y = table()
    unit = torch.tensor([1.0, 5.0])
    found = Attack(name, 0.1, 3, unit=unit)(net, x, y, cross_entropy)
    assert found["categories"] is x["categories"]
    assert torch.equal(found["numbers"].isnan(), x["numbers"].isnan())
    moved = ((found["numbers"] - x["numbers"]) / unit).nan_to_num()
    assert 0.01 < moved.abs().max() <= 0.1 * (1 + 1e-5)
    assert cross_entropy(net(found), y) > cross_entropy(net(x), y)
    pair = Attack(name, 0.1, 3, unit=unit)(net, (x["numbers"], x["categories"]), y, cross_entropy)
    assert pair[1] is x["categories"] and not torch.equal(pair[0], x["numbers"])


def test_any_loss_and_empty_batches_and_bfloat16():
    net, (x, y) = network().eval(), batch()
    plain = fgsm(net, x, y, cross_entropy, 0.1)
    assert_close(fgsm(net, x, y, lambda output, target: cross_entropy(output, target), 0.1), plain)
    regression = nn.Linear(4, 1).double()
    found = pgd(regression, x, x[:, :1], nn.MSELoss(), 0.1)
    assert nn.MSELoss()(regression(found), x[:, :1]) > nn.MSELoss()(regression(x), x[:, :1])
    for name in ATTACKS:
        assert Attack(name)(net, x[:0], y[:0], cross_entropy).shape == (0, 4)
        assert Attack(name, 0.1)(network().bfloat16(), x.bfloat16(), y, cross_entropy).isfinite().all()


def test_starts_are_uniform_in_the_euclidean_ball():
    model, _ = linear()
    x, y = torch.zeros(4000, 5, dtype=torch.float64), torch.zeros(4000, dtype=torch.long)
    points = []

    def forward(z):
        points.append(z.detach())
        return model(z)

    torch.manual_seed(0)
    Attack("pgd_l2", 2.0, 1).craft(model, x, y, cross_entropy, forward)
    share = (points[1].norm(dim=1) / 2.0) ** 5  # uniform: U[0, 1]
    assert abs(share.mean() - 0.5) < 4 * (1 / 12 / 4000) ** 0.5
    assert points[1].mean(0).abs().max() < 4 * 2 / (7 * 4000) ** 0.5  # E x_i² = r²/(d + 2)


def test_starts_are_uniform_in_the_cube_and_defaults_are_the_papers():
    model, _ = linear()
    x, y = torch.zeros(4000, 5, dtype=torch.float64), torch.zeros(4000, dtype=torch.long)
    points = []

    def forward(z):
        points.append(z.detach())
        return model(z)

    torch.manual_seed(0)
    Attack("pgd_linf", 2.0, 1).craft(model, x, y, cross_entropy, forward)
    assert points[1].min() < -1.99 and points[1].max() > 1.99
    assert points[1].mean(0).abs().max() < 4 * 2 / (3 * 4000) ** 0.5  # variance r²/3
    assert Attack().radius == 8 / 255 and Attack().steps == 10


def test_errors():
    with pytest.raises(ValueError, match=r"No attack is called 'cw'.*fgsm"):
        Attack("cw")
    with pytest.raises(ValueError, match="radius is 0"):
        Attack("fgsm", 0)
    with pytest.raises(ValueError, match="0 steps"):
        Attack(steps=0)
    with pytest.raises(ValueError, match=r"range is \(1, 0\)"):
        Attack(range=(1, 0))
    with pytest.raises(ValueError, match=r"a tensor of torch\.int64"):
        Attack()(network(), torch.zeros(2, 4, dtype=torch.long), torch.zeros(2), cross_entropy)
