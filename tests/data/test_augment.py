import pytest
import torch
from torch.testing import assert_close

from trainwell.data.augment import Augment, cutout, flip, pad_crop
from trainwell.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(count: int = 200, channels: int = 3, height: int = 8, width: int = 6, dtype=torch.uint8) -> torch.Tensor:
    return torch.randint(1, 256, (count, channels, height, width), generator=generator(7)).to(dtype)


def shifted(image: torch.Tensor, dy: int, dx: int, pad: int, mode: str) -> torch.Tensor:
    """The slow, obvious version: pad, then crop."""
    padded = torch.nn.functional.pad(
        image.double().unsqueeze(0), (pad,) * 4, mode="reflect" if mode == "reflect" else "constant"
    )
    height, width = image.shape[1:]
    return padded[0, :, pad + dy : pad + dy + height, pad + dx : pad + dx + width].to(image.dtype)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
@pytest.mark.parametrize("mode", ["reflect", "zeros"])
def test_pad_crop_is_padding_and_cropping(dtype, mode):
    x, pad = images(dtype=dtype), 2
    seen = set()
    for image, result in zip(x, pad_crop(x, pad, generator(), mode), strict=True):
        moves = [
            (dy, dx)
            for dy in range(-pad, pad + 1)
            for dx in range(-pad, pad + 1)
            if torch.equal(shifted(image, dy, dx, pad, mode), result)
        ]
        assert len(moves) == 1
        seen.update(moves)
    assert len(seen) == (2 * pad + 1) ** 2  # 200 draws of 25: each shift comes with probability 1 − 25·e⁻⁸


@pytest.mark.parametrize("probability,expected", [(0.0, "same"), (1.0, "mirrored"), (0.5, "half")])
def test_flip_mirrors_the_given_share(probability, expected):
    x = images(1000)
    result = flip(x, generator(), probability)
    same = (result == x).flatten(1).all(1)
    mirrored = (result == x.flip(3)).flatten(1).all(1)
    assert (same ^ mirrored).all()
    share = mirrored.double().mean().item()
    assert {"same": share == 0, "mirrored": share == 1, "half": abs(share - 0.5) < 4 * 0.5 / 1000**0.5}[expected]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_cutout_blackens_a_square_around_a_pixel(dtype):
    x = images(500, dtype=dtype)
    result = cutout(x, 3, generator())
    hole = (result == 0).all(1)
    assert_close(torch.where(hole.unsqueeze(1), 0, x), result)
    rows, columns = hole.any(2).sum(1), hole.any(1).sum(1)
    assert_close(rows * columns, hole.sum((1, 2)))  # a rectangle
    assert rows.min() == columns.min() == 2 and rows.max() == columns.max() == 3  # cut by the border, or whole


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_augment_repeats_for_the_same_state_and_changes_nothing_in_place(dtype):
    x = images(dtype=dtype)
    before = x.clone()
    augment = Augment(flip=True, pad=2, cutout=3)
    first, second, other = augment(x, generator(1)), augment(x, generator(1)), augment(x, generator(2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(x, before)
    assert first.dtype == dtype and first.shape == x.shape


def test_augment_by_default_is_the_identity():  # control
    x = images()
    assert torch.equal(Augment()(x, generator()), x)


def test_one_pixel_of_noise_moves_only_its_own_image():  # property: samples don't mix
    x = images()
    y = x.clone()
    y[17] = 0
    augment = Augment(flip=True, pad=2, cutout=2)
    differs = (augment(x, generator(3)) != augment(y, generator(3))).flatten(1).any(1)
    assert differs.nonzero().flatten().tolist() == [17]


def test_a_pad_as_large_as_the_image_is_refused():
    with pytest.raises(InputError, match="pad=6 does not fit images of 8×6 pixels"):
        pad_crop(images(), 6, generator())
    with pytest.raises(InputError, match="mode='wrap'"):
        pad_crop(images(), 1, generator(), "wrap")
