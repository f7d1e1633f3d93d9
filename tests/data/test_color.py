import numpy as np
import pytest
import torch
from PIL import Image, ImageEnhance, ImageOps
from torch.testing import assert_close

from trainwell.data import augment
from trainwell.data.augment import OPERATIONS, color_jitter, policy
from trainwell.errors import InputError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 8, side: int = 16) -> torch.Tensor:
    """Noise, of less contrast and darker from one image to the next."""
    x = torch.randint(0, 256, (count, 3, side, side), generator=generator(7))
    return (x * torch.linspace(1, 0.3, count).view(-1, 1, 1, 1) + 10).clamp(0, 255).to(torch.uint8)


def by_pillow(images: torch.Tensor, change) -> torch.Tensor:
    made = [np.asarray(change(Image.fromarray(image.permute(1, 2, 0).numpy()))) for image in images]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


ENHANCERS = {
    "brightness": ImageEnhance.Brightness,
    "contrast": ImageEnhance.Contrast,
    "saturation": ImageEnhance.Color,
    "sharpness": ImageEnhance.Sharpness,
}


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
@pytest.mark.parametrize("name", ENHANCERS)
def test_enhancements_are_pillows_to_within_rounding(name, factor):
    x = pictures()
    expected = by_pillow(x, lambda image: ENHANCERS[name](image).enhance(factor))
    result = getattr(augment, name)(x, torch.full((8,), factor))
    # Pillow rounds grey or smooth values first, |1 − factor| / 2, and cuts off what follows the point, 1
    assert (result.int() - expected.int()).abs().max() <= 1 + abs(1 - factor) / 2
    if factor != 1:
        assert (result.int() - x.int()).abs().max() > 20  # control: it does something


@pytest.mark.parametrize("name,change", [("invert", ImageOps.invert), ("equalize", ImageOps.equalize)])
def test_tones_are_pillows_bit_for_bit(name, change):
    x = pictures(side=32)
    x[0, 0] = 77  # a channel of one value
    assert torch.equal(getattr(augment, name)(x), by_pillow(x, change))
    assert not torch.equal(getattr(augment, name)(x), x)


@pytest.mark.parametrize("threshold", [0, 100, 256])
def test_solarize_is_pillows(threshold):
    x = pictures()
    expected = by_pillow(x, lambda image: ImageOps.solarize(image, threshold))
    assert torch.equal(augment.solarize(x, torch.full((8,), threshold)), expected)


@pytest.mark.parametrize("bits", [1, 4, 8])
def test_posterize_is_pillows(bits):
    x = pictures()
    expected = by_pillow(x, lambda image: ImageOps.posterize(image, bits))
    assert torch.equal(augment.posterize(x, torch.full((8,), bits)), expected)


def test_autocontrast_is_pillows_to_within_its_cut_off_fraction():
    x = pictures()
    x[0, 0] = 77
    difference = augment.autocontrast(x).int() - by_pillow(x, ImageOps.autocontrast).int()
    assert difference.abs().max() <= 1
    assert torch.equal(augment.autocontrast(x)[0, 0], x[0, 0])


def test_grayscale_is_pillows_luma():
    x = pictures()
    expected = by_pillow(x, lambda image: image.convert("L").convert("RGB"))
    assert (augment.grayscale(x).int() - expected.int()).abs().max() <= 1


def test_hue_is_a_rotation_of_yiq():
    x = 100 + 30 * torch.rand(5, 3, 4, 4, generator=generator(), dtype=torch.float64)  # never clipped
    to_yiq = torch.tensor([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]).double()
    y, i, q = torch.einsum("ac,nchw->anhw", to_yiq, x)
    a, b, c = torch.einsum("ac,nchw->anhw", to_yiq, augment.hue(x, torch.tensor([0.2])))
    angle = 2 * torch.pi * torch.tensor(0.2).double()
    assert_close(a, y, rtol=1e-6, atol=1e-6)
    assert_close(torch.complex(b, c), torch.complex(i, q) * torch.exp(1j * angle), rtol=1e-6, atol=1e-5)
    back = augment.hue(augment.hue(x, torch.tensor([0.3])), torch.tensor([-0.3]))
    assert_close(back, x, rtol=1e-6, atol=1e-5)


def test_jitter_is_its_four_parts_in_order():
    x = 110 + 20 * torch.rand(6, 3, 5, 5, generator=generator(), dtype=torch.float64)
    options = {"brightness": 0.1, "contrast": 0.3, "saturation": 0.3, "hue": 0.2}
    result = color_jitter(x, generator(4), **options)
    g, slow = generator(4), x
    for name, setting in options.items():
        middle = 0.0 if name == "hue" else 1.0
        amounts = torch.rand(6, generator=g) * (2 * setting) + (middle - setting)
        slow = getattr(augment, name)(slow, amounts)
    assert_close(result, slow, rtol=1e-5, atol=1e-4)
    assert (result - x).abs().max() > 5  # control


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_jitter_of_one_part_is_that_part(name):
    x = pictures()
    amounts = torch.rand(8, generator=generator(4)) * 0.8 + 0.6
    expected = getattr(augment, name)(x, amounts)
    assert (color_jitter(x, generator(4), **{name: 0.4}).int() - expected.int()).abs().max() <= 1


def test_grey_images_keep_their_shade_under_hue_and_saturation():
    x = pictures()[:, :1]
    assert torch.equal(color_jitter(x, generator(), hue=0.3, saturation=0.5), x)
    both = color_jitter(x.float(), generator(4), contrast=0.5, hue=0.3)
    assert_close(both, augment.contrast(x.float(), torch.rand(8, generator=generator(4)) + 0.5), rtol=1e-3, atol=0.1)
    with pytest.raises(InputError, match="4 channels have neither saturation nor hue"):
        augment.hue(torch.zeros(2, 4, 5, 5), torch.zeros(2))
    with pytest.raises(InputError, match="3 settings for 8 images"):
        augment.brightness(x, torch.ones(3))


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_at_amount_zero_changes_nothing(name):
    x = pictures()
    result = OPERATIONS[name](x, torch.zeros(8))
    if name in ("autocontrast", "equalize"):
        assert not torch.equal(result, x)  # they have no amount
    else:
        assert torch.equal(result, x)
        assert name == "identity" or not torch.equal(OPERATIONS[name](x, torch.ones(8)), x)


LARGEST = {
    "rotate": lambda x: augment.affine(x, augment.affine_matrices(30.0)),
    "shear_x": lambda x: augment.affine(x, augment.affine_matrices(0.0, shear_x=0.3)),
    "shear_y": lambda x: augment.affine(x, augment.affine_matrices(0.0, shear_y=0.3)),
    "translate_x": lambda x: augment.affine(x, augment.affine_matrices(0.0, dx=16 * 150 / 331)),
    "translate_y": lambda x: augment.affine(x, augment.affine_matrices(0.0, dy=16 * 150 / 331)),
    "brightness": lambda x: by_pillow(x, lambda image: ImageEnhance.Brightness(image).enhance(1.9)),
    "contrast": lambda x: by_pillow(x, lambda image: ImageEnhance.Contrast(image).enhance(1.9)),
    "color": lambda x: by_pillow(x, lambda image: ImageEnhance.Color(image).enhance(1.9)),
    "sharpness": lambda x: by_pillow(x, lambda image: ImageEnhance.Sharpness(image).enhance(1.9)),
    "posterize": lambda x: by_pillow(x, lambda image: ImageOps.posterize(image, 4)),
    "solarize": lambda x: by_pillow(x, lambda image: ImageOps.solarize(image, 0)),
}


@pytest.mark.parametrize("name", LARGEST)
def test_magnitude_ten_is_the_largest_of_autoaugment(name):
    x = pictures()
    assert (OPERATIONS[name](x, torch.ones(8)).int() - LARGEST[name](x).int()).abs().max() <= 2


def test_policy_is_its_operations_image_by_image():  # the slow, obvious version
    x, names = pictures(30), list(OPERATIONS)
    result = policy(x, 2, 6, generator(9))
    g = generator(9)
    drawn = torch.randint(0, len(names), (2, 30), generator=g)
    signs = torch.randint(0, 2, (2, 30), generator=g) * 2 - 1
    for n in range(30):
        image = x[n : n + 1]
        for choice, sign in zip(drawn[:, n], signs[:, n], strict=True):
            image = OPERATIONS[names[int(choice)]](image, 0.6 * sign.view(1))
        assert (image[0].int() - result[n].int()).abs().max() <= 1


def test_policy_takes_the_operations_it_is_given():
    x = pictures()
    assert torch.equal(policy(x, 1, 5, generator(), ["identity"]), x)
    assert torch.equal(policy(x, 0, 5, generator()), x)
    assert torch.equal(policy(x, 1, 5, generator(), ["equalize"]), augment.equalize(x))
    with pytest.raises(InputError, match=r"operations \['paint'\] are not known"):
        policy(x, 1, 5, generator(), ["paint"])
    with pytest.raises(InputError, match="magnitude=11"):
        policy(x, 1, 11, generator())


def test_policy_on_another_device_than_the_generator():  # equalize counts values, which meta tensors have none of
    names = [name for name in OPERATIONS if name != "equalize"]
    assert policy(pictures(60).to("meta"), 2, 5, generator(), names).device.type == "meta"
