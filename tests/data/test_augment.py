import pytest
import torch
from torch.testing import assert_close

from trainwell.data.augment import (
    Augment,
    SequenceAugment,
    TableAugment,
    augmenter,
    cutout,
    flip,
    pad_crop,
    random_erase,
    shift,
)
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


def test_the_draws_and_their_order_stay_what_they_were():  # recorded seeds of old runs go on with the same bits
    x, pad, size = images(64, 3, 8, 6), 2, 3
    result = Augment(flip=True, pad=pad, cutout=size)(x, generator(11))
    g = generator(11)
    moves = torch.randint(-pad, pad + 1, (2, 64, 1), generator=g).squeeze(2).tolist()
    mirrored = (torch.rand(64, generator=g) < 0.5).tolist()
    centres = torch.rand(2, 64, generator=g)
    for n, image in enumerate(x):
        slow = shifted(image, moves[0][n], moves[1][n], pad, "reflect")
        slow = slow.flip(2) if mirrored[n] else slow.clone()
        top, left = int(centres[0, n] * 8) - 1, int(centres[1, n] * 6) - 1
        slow[:, max(top, 0) : top + size, max(left, 0) : left + size] = 0
        assert torch.equal(result[n], slow)


EVERYTHING = {
    "flip": True,
    "pad": 2,
    "cutout": 3,
    "shift": 0.2,
    "rotate": 15.0,
    "scale": 0.1,
    "shear": 0.1,
    "translate": 0.1,
    "brightness": 0.3,
    "contrast": 0.3,
    "saturation": 0.3,
    "hue": 0.1,
    "gray": 0.2,
    "noise": 5.0,
    "salt_pepper": 0.05,
    "erase": 0.5,
    "policy_count": 2,
}


@pytest.mark.parametrize("name", [*EVERYTHING, "all"])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
def test_every_switch_repeats_keeps_its_argument_and_the_dtype(name, dtype):
    x = images(40, dtype=dtype)
    before = x.clone()
    augment = Augment(**(EVERYTHING if name == "all" else {name: EVERYTHING[name]}))
    first, second, other = augment(x, generator(1)), augment(x, generator(1)), augment(x, generator(2))
    assert torch.equal(first, second) and not torch.equal(first, other)
    assert torch.equal(x, before)
    assert first.dtype == dtype and first.shape == x.shape
    assert first.min() >= 0 and first.max() <= 255


def test_images_never_learn_of_each_other_in_any_augmentation():  # property
    x = images(60)
    y = x.clone()
    y[17] = 255 - y[17]
    augment = Augment(**EVERYTHING)
    differs = (augment(x, generator(3)) != augment(y, generator(3))).flatten(1).any(1)
    assert differs.nonzero().flatten().tolist() == [17]


@pytest.mark.parametrize("name", [name for name in EVERYTHING if name != "policy_count"])
def test_images_on_another_device_than_the_generator(name):  # meta stands for a GPU: mixing devices is an error there
    x = images(6).to("meta")
    result = Augment(**{name: EVERYTHING[name]})(x, generator())
    assert result.device.type == "meta" and result.shape == x.shape


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_shift_is_pad_crop_by_a_share(share):
    x = images(400, height=8, width=6)
    result = shift(x, share, generator(), "zeros")
    reach = (int(share * 8), int(share * 6))
    blank = (result == 0).all(1)  # the pixels of the originals are at least 1
    rows, columns = blank.all(2).sum(1), blank.all(1).sum(1)
    assert rows.max() == reach[0] and columns.max() == reach[1]


def test_erased_rectangles_have_the_area_and_the_chance_asked_for():
    x = images(2000, height=32, width=32)
    result = random_erase(x, generator(), 0.5, (0.1, 0.2))
    area = (result == 0).all(1).double().mean((1, 2))
    hit = area > 0
    assert abs(hit.double().mean().item() - 0.5) < 4 * 0.5 / 2000**0.5
    assert area[hit].min() > 0.08 and area[hit].max() < 0.22  # sides are whole pixels
    assert abs(area[hit].mean().item() - 0.15) < 0.004
    tall, wide = (result == 0).all(1).any(2).sum(1)[hit], (result == 0).all(1).any(1).sum(1)[hit]
    assert 0.26 < (tall / wide).min() < 0.35 and 2.9 < (tall / wide).max() < 3.8  # aspect 0.3 … 1 / 0.3


def test_erasing_with_noise_changes_the_rectangle_alone():
    x = images(50)
    black, noisy = random_erase(x, generator(5), 1.0), random_erase(x, generator(5), 1.0, fill="noise")
    outside = black == x
    assert torch.equal(noisy[outside], x[outside]) and not torch.equal(noisy, black)


@pytest.mark.parametrize(
    "kind,options,made",
    [
        ("image", {"flip": True, "pad": None}, Augment(flip=True)),
        ("image", {"swap": 0.0, "policy_count": 2}, Augment(policy_count=2)),
        ("image", {"policy_magnitude": 9.0, "mode": "zeros"}, None),
        ("table", {"swap": 0.1, "flip": False, "pad": 0}, TableAugment(swap=0.1)),
        ("array", {"noise": 0.1, "std": (1.0, 2.0)}, TableAugment(noise=0.1, std=(1.0, 2.0))),
        ("table", {"std": (1.0,)}, None),
        ("sequence", {"crop": 0.2}, SequenceAugment(crop=0.2)),
        ("sequence", {}, None),
    ],
)
def test_augmenter_makes_what_fits_the_kind(kind, options, made):
    assert augmenter(kind, **options) == made


@pytest.mark.parametrize(
    "kind,options,says",
    [
        ("table", {"flip": True}, "augmentation.flip does not fit data of the kind table. These have swap, noise"),
        ("image", {"swap": 0.1}, "augmentation.swap does not fit data of the kind image"),
        ("array", {"crop": 0.1}, "augmentation.crop does not fit"),
        ("image", {"colour": 0.1}, "augmentation.colour does not fit"),
        ("movie", {}, "no data are of the kind 'movie'"),
        ("image", {"hue": 0.7}, "Augment: hue=0.7 is out of range. Use 0 to 0.5"),
        ("sequence", {"crop": 1.5}, "crop=1.5"),
        ("table", {"swap": -0.1}, "swap=-0.1"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(kind, options, says):
    with pytest.raises(InputError, match=says):
        augmenter(kind, **options)
