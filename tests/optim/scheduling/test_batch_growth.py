import pytest

from trainwell.optim import SCHEDULES, batch_growth
from trainwell.optim.scheduling.schedules import factor


def test_batch_grows_where_the_staircase_falls():  # Smith et al. 2018: × 5 where the rate would be ÷ 5
    growth = batch_growth("staircase", 200, 128, largest=5120, options={"gamma": 0.2, "milestones": [0.3, 0.6, 0.8]})
    assert [growth(t) for t in (0, 59, 60, 119, 120, 159, 160, 199)] == [128, 128, 640, 640, 3200, 3200, 5120, 5120]
    assert [growth.rate(t) for t in (0, 60, 120)] == pytest.approx([1.0] * 3)
    assert growth.rate(160) == pytest.approx(0.2**3 * 5120 / 128)  # the rest is left to the rate


@pytest.mark.parametrize("name", [name for name in SCHEDULES if name not in ("growing", "plateau")])
def test_rate_over_batch_is_that_of_the_falling_rate(name):
    growth = batch_growth(name, 100, 16, largest=700, end=0.02)
    for t in range(100):
        wanted = factor(name, t, 100, warmup=0.0, end=0.02)
        assert growth.rate(t) / growth(t) == pytest.approx(wanted / 16, rel=1e-12)
        assert 16 <= growth(t) <= 700
        assert growth(t) == 700 or growth.rate(t) == pytest.approx(1.0, abs=0.04)  # whole samples: ± ½ of 16


def test_a_constant_rate_leaves_the_batch():  # control
    growth = batch_growth("constant", 10, 32, largest=64)
    assert {growth(t) for t in range(20)} == {32} and {growth.rate(t) for t in range(20)} == {1.0}


def test_a_factor_of_zero_gives_the_largest_batch_and_no_rate():
    growth = batch_growth("linear", 10, 32, largest=64)
    assert growth(10) == 64 and growth.rate(10) == 0.0


@pytest.mark.parametrize(
    ("name", "sizes", "message"),
    [
        ("growing", (8, 16), "no falling function"),
        ("plateau", (8, 16), "no falling function"),
        ("stairs", (8, 16), "no schedule is called 'stairs'"),
        ("linear", (32, 16), "batch_size=32 ≤ largest=16 must hold"),
    ],
)
def test_what_does_not_fit_is_refused(name, sizes, message):
    with pytest.raises(ValueError, match=message):
        batch_growth(name, 10, sizes[0], largest=sizes[1])
