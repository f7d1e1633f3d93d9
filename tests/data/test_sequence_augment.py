import pytest
import torch
from torch.testing import assert_close

from trainwell.data.augment import SequenceAugment, scaling, time_crop, time_mask, time_shift

SWITCHES = {"jitter": 0.1, "scale": 0.1, "crop": 0.3, "mask": 0.4, "shift": 0.3}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", [*SWITCHES, "all"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_every_switch_repeats_and_keeps_its_argument(name, dtype):
    x = torch.randn(30, 12, 2, generator=generator()).to(dtype)
    before = x.clone()
    augment = SequenceAugment(**(SWITCHES if name == "all" else {name: SWITCHES[name]}))
    first, second = augment(x, generator(1)), augment(x, generator(1))
    assert torch.equal(first, second) and not torch.equal(first, x) and torch.equal(x, before)
    assert first.dtype == dtype and first.shape == x.shape
    assert augment(x.to("meta"), generator()).device.type == "meta"


def test_off_is_the_identity():  # control
    x = torch.randn(3, 5, 2)
    assert torch.equal(SequenceAugment()(x, generator()), x)
    assert torch.equal(SequenceAugment(crop=0.5)(x[:, :1], generator()), x[:, :1])


def test_scaling_has_one_factor_a_feature_and_sequence():
    x = torch.ones(5000, 4, 2, dtype=torch.float64)
    factors = scaling(x, 0.2, generator())
    assert (factors == factors[:, :1]).all()
    assert_close(factors.std(), torch.tensor(0.2).double(), rtol=0.03, atol=0)
    assert abs(factors.mean() - 1) < 4 * 0.2 / 10000**0.5


def test_shifts_are_whole_steps_with_repeated_edges():
    x = torch.arange(10.0).view(1, 10, 1).expand(2000, -1, -1)
    moved = time_shift(x, 0.3, generator())[..., 0]
    steps = moved[:, 5] - 5
    assert steps.unique().tolist() == [-3, -2, -1, 0, 1, 2, 3]
    assert torch.equal(moved, (torch.arange(10.0) + steps.unsqueeze(1)).clamp(0, 9))


def test_a_crop_of_a_line_is_a_slower_line_inside_it():
    x = torch.arange(11, dtype=torch.float64).view(1, 11, 1).expand(3000, -1, -1)
    cropped = time_crop(x, 0.4, generator())[..., 0]
    slope = cropped.diff(dim=1)
    assert_close(slope, slope[:, :1].expand_as(slope), rtol=1e-9, atol=1e-9)
    assert 0.6 <= slope.min() < 0.61 and 0.99 < slope.max() <= 1
    assert cropped.min() >= 0 and cropped.max() <= 10 + 1e-9


def test_a_mask_is_one_span_of_the_mean():
    x = torch.randn(3000, 10, 2, generator=generator(), dtype=torch.float64)
    masked = time_mask(x, 0.4, generator(1))
    hidden = (masked != x).all(2)
    assert_close(masked[hidden], x.mean(1, keepdim=True).expand_as(x)[hidden])
    assert torch.equal(masked[~hidden], x[~hidden])
    length = hidden.sum(1)
    assert length.unique().tolist() == [0, 1, 2, 3, 4]
    edges = hidden.int().diff(dim=1).abs().sum(1)
    assert edges.max() <= 2  # one span
