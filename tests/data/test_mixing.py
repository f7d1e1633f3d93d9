import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.testing import assert_close

from trainwell.data.augment import Mixed, Mixing, beta_shares, cutmix, mixup
from trainwell.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 20, dtype=torch.uint8) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, 8, 6), generator=generator(7)).to(dtype)


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 5.0])
def test_shares_are_beta(alpha):
    shares = beta_shares(alpha, 20000, generator()).double()
    below = shares[shares < 0.5]  # above, float32 has no numbers between 1 and 1 − 6e-8
    assert abs(len(below) / 20000 - 0.5) < 4 * 0.5 / 20000**0.5
    assert stats.kstest(below, lambda v: 2 * stats.beta(alpha, alpha).cdf(v)).pvalue > 1e-3
    wrong = 1.3 * alpha
    assert stats.kstest(below, lambda v: 2 * stats.beta(wrong, wrong).cdf(v)).pvalue < 1e-6  # control


def test_shares_of_a_tiny_alpha_are_zero_or_one():
    shares = beta_shares(1e-4, 2000, generator())
    assert shares.isfinite().all() and ((shares < 1e-6) | (shares > 1 - 1e-6)).double().mean() > 0.99
    assert abs(shares.double().mean().item() - 0.5) < 4 * 0.5 / 2000**0.5


@pytest.mark.parametrize("per_sample", [False, True])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64, torch.bfloat16])
def test_mixup_is_the_convex_combination(per_sample, dtype):
    x, y = images(dtype=dtype), torch.arange(20)
    before = x.clone()
    mixed = mixup(x, y, 1.0, generator(3), per_sample)
    assert torch.equal(x, before) and torch.equal(mixed.y, y)
    assert mixed.share.shape == ((20,) if per_sample else ())
    assert sorted(mixed.other.tolist()) == y.tolist()  # labels are the row numbers: partners are a permutation
    share = mixed.share.double().view(-1, 1, 1, 1)
    expected = share * x.double() + (1 - share) * x.double()[mixed.other]
    assert mixed.x.dtype == (torch.float32 if dtype == torch.uint8 else dtype)
    assert_close(mixed.x.double(), expected, rtol=1e-5, atol=2 if dtype == torch.bfloat16 else 1e-3)
    soft = mixed.soft(20)
    assert_close(soft.sum(1), torch.ones(20))
    own = torch.where(mixed.other == y, 1, mixed.share)
    assert_close(soft[y, y], own)


def test_mixup_in_pieces_is_mixup_at_once():  # images larger than the cache are mixed in several pieces
    x = torch.randint(0, 256, (7, 3, 200, 200), generator=generator(), dtype=torch.uint8)
    mixed = mixup(x, torch.arange(7), 1.0, generator(1), per_sample=True)
    weight = (1 - mixed.share).view(-1, 1, 1, 1)
    assert torch.equal(mixed.x, torch.lerp(x.float(), x.float()[mixed.other], weight))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from([0.2, 1.0, 8.0]))
def test_the_share_of_cutmix_is_the_exact_area(seed, per_sample, alpha):
    x = torch.arange(1, 13, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 2, 9, 7)  # image n is n + 1 everywhere
    y = torch.arange(12)
    mixed = cutmix(x, y, alpha, generator(seed), per_sample)
    kept = (mixed.x == (y + 1).view(-1, 1, 1, 1)).double().mean((1, 2, 3))
    share = mixed.share.double().expand(12)
    different = mixed.other != y
    assert_close(kept[different], share[different], rtol=1e-6, atol=1e-6)
    foreign = (mixed.x == (mixed.other + 1).view(-1, 1, 1, 1)).double().mean((1, 2, 3))
    assert_close((foreign + kept)[different], torch.ones(int(different.sum())).double())
    assert mixed.x.dtype == torch.uint8


def test_cutmix_cuts_the_area_that_beta_asks_for():  # uncut rectangles: 1 − λ of the area
    x, y = torch.zeros(4000, 1, 64, 64, dtype=torch.uint8), torch.arange(4000)
    x[::2] = 1
    shares = cutmix(x, y, 1.0, generator(), per_sample=True).share.double()
    drawn = beta_shares(1.0, 4000, generator()).double()
    assert (shares >= drawn - 1e-6).all()  # rounding down and the border only make the hole smaller
    small = drawn > 0.9
    assert abs((shares - drawn)[small].mean().item()) < 0.03


def test_tables_are_mixed_where_both_numbers_are_known():
    numbers = torch.randn(400, 3, generator=generator())
    numbers[::3, 1] = float("nan")
    codes = torch.arange(400).unsqueeze(1).repeat(1, 2)
    rows = {"numbers": numbers, "categories": codes}
    mixed = mixup(rows, torch.arange(400), 1.0, generator(5))
    other = numbers[mixed.other]
    expected = mixed.share * numbers + (1 - mixed.share) * other
    both = numbers.isfinite() & other.isfinite()
    assert_close(mixed.x["numbers"][both], expected[both])
    assert_close(mixed.x["numbers"][~both], numbers[~both], equal_nan=True)
    own = mixed.x["categories"] == codes
    assert (own | (mixed.x["categories"] == mixed.other.unsqueeze(1))).all()
    share = mixed.share.item()
    assert abs(own.double().mean().item() - share) < 4 * (share * (1 - share) / 800) ** 0.5 + 1 / 400


def test_soft_targets():
    mixed = Mixed(None, torch.tensor([0, 2, -100]), torch.tensor([1, 2, 0]), torch.tensor(0.75))
    assert_close(mixed.soft(3), torch.tensor([[0.75, 0.25, 0], [0, 0, 1], [0.25, 0, 0]]))
    probabilities = Mixed(None, torch.tensor([[1.0, 0]]), torch.tensor([[0.0, 1]]), torch.tensor([0.6]))
    assert_close(probabilities.soft(2), torch.tensor([[0.6, 0.4]]))
    with pytest.raises(InputError, match="label 2 with 2 classes"):
        mixed.soft(2)


def test_mixing_draws_which_one():
    x, y = images(dtype=torch.uint8), torch.arange(20)
    g, seen = generator(), []
    for _ in range(400):
        mixed = Mixing(mixup=1.0, cutmix=1.0, probability=0.6)(x, y, g)
        seen.append("none" if torch.equal(mixed.x, x) else "cut" if mixed.x.dtype == torch.uint8 else "mix")
    assert abs(seen.count("none") / 400 - 0.4) < 0.12 and abs(seen.count("cut") - seen.count("mix")) < 65
    untouched = Mixing(mixup=1.0, probability=0.0)(x, y, g)
    assert torch.equal(untouched.x, x) and untouched.share == 1 and torch.equal(untouched.soft(20), torch.eye(20))


def test_same_state_same_mixture():
    x, y = images(), torch.arange(20)
    mixing = Mixing(mixup=0.3, cutmix=1.0, per_sample=True)
    for seed in range(4):
        first, second = mixing(x, y, generator(seed)), mixing(x, y, generator(seed))
        assert torch.equal(first.x, second.x) and torch.equal(first.share, second.share)


@pytest.mark.parametrize("mix", [mixup, cutmix])
def test_mixing_on_another_device_than_the_generator(mix):
    for per_sample in (False, True):
        mixed = mix(images().to("meta"), torch.arange(20).to("meta"), 1.0, generator(), per_sample)
        assert mixed.x.device.type == mixed.other.device.type == mixed.share.device.type == "meta"


def test_what_cannot_be_mixed_is_refused():
    with pytest.raises(InputError, match="alpha=0 is no parameter"):
        mixup(images(), torch.arange(20), 0, generator())
    with pytest.raises(InputError, match=r"cutmix: \(4, 5\) are no images"):
        cutmix(torch.zeros(4, 5), torch.arange(4), 1.0, generator())
    with pytest.raises(InputError, match="probability=2"):
        Mixing(probability=2)
