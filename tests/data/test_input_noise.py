import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from trainwell.data.augment import feature_noise, image_noise, label_noise, salt_pepper
from trainwell.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_image_noise_is_gaussian_in_units_of_the_pixels():
    x = torch.full((20, 3, 32, 32), 128.0)
    noise = (image_noise(x, 12.0, generator()) - x).flatten().double()
    assert stats.kstest(noise, stats.norm(0, 12).cdf).pvalue > 1e-3
    assert stats.kstest(noise, stats.norm(0, 12.3).cdf).pvalue < 1e-3  # control


def test_image_noise_on_bytes_is_rounded_and_clipped():
    x = torch.zeros(20, 3, 32, 32, dtype=torch.uint8)
    noisy = image_noise(x, 12.0, generator())
    assert noisy.dtype == torch.uint8 and x.max() == 0
    assert 0.5 < (noisy == 0).double().mean() < 0.53  # the half below 0, and what rounds to 0
    assert noisy.max() < 12 * 6


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_salt_and_pepper_hit_whole_pixels_equally(dtype):
    x = torch.full((50, 3, 32, 32), 100).to(dtype)
    result = salt_pepper(x, 0.2, generator())
    black, white = (result == 0), (result == 255)
    assert torch.equal(black.all(1), black.any(1)) and torch.equal(white.all(1), white.any(1))
    error = 4 * (0.1 * 0.9 / 51200) ** 0.5
    assert abs(black.double().mean() - 0.1) < error and abs(white.double().mean() - 0.1) < error
    assert (black | white | (result == 100)).all()


def test_feature_noise_has_the_units_of_each_feature():
    x = torch.randn(20000, 3, generator=generator()).double() * torch.tensor([1.0, 100.0, 0.0]) + 5
    x[::4, 0] = float("nan")
    noisy = feature_noise(x, 0.3, generator(1))
    assert torch.equal(noisy.isnan(), x.isnan())
    spread = torch.nanmean((noisy - x).square(), 0).sqrt() / torch.tensor([1.0, 100.0, 1.0])
    assert_close(spread, torch.tensor([0.3, 0.3, 0.0]).double(), rtol=4 * 2**-0.5 / 15000**0.5 * 2, atol=1e-12)
    given = feature_noise(x, 0.3, generator(1), torch.tensor([2.0, 50.0, 1.0]))
    assert_close((given - x).nan_to_num().std(0)[1:], torch.tensor([15.0, 0.3]).double(), rtol=0.04, atol=0)
    with pytest.raises(InputError, match=r"\(2,\) standard deviations for 3 features"):
        feature_noise(x, 0.3, generator(), torch.ones(2))


def test_label_noise_makes_the_given_share_wrong_and_evenly_so():
    y = torch.full((30000,), 2)
    noisy = label_noise(y, 0.3, 5, generator())
    counts = torch.bincount(noisy, minlength=5)
    assert abs(counts[2].item() / 30000 - 0.7) < 4 * (0.21 / 30000) ** 0.5
    others = counts[[0, 1, 3, 4]].numpy()
    assert stats.chisquare(others).pvalue > 1e-3
    assert y.unique().tolist() == [2]


def test_label_noise_leaves_ignored_labels_and_the_dtype():
    y = torch.tensor([-100, 0, 1] * 10, dtype=torch.int32)
    noisy = label_noise(y, 1.0, 2, generator())
    assert torch.equal(noisy, torch.tensor([-100, 1, 0] * 10, dtype=torch.int32))
    assert torch.equal(label_noise(y, 0.0, 2, generator()), y)
    with pytest.raises(InputError, match="1 classes"):
        label_noise(y, 0.1, 1, generator())
    with pytest.raises(InputError, match=r"share=1\.2"):
        label_noise(y, 1.2, 2, generator())
