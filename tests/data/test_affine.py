import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage
from torch.testing import assert_close

from trainwell.data.augment import affine, affine_matrices, random_affine
from trainwell.errors import InputError

SCIPY_BORDERS = {"zeros": "grid-constant", "border": "nearest", "reflect": "reflect"}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(count: int = 6, height: int = 9, width: int = 12, dtype=torch.float64) -> torch.Tensor:
    return torch.randint(0, 256, (count, 3, height, width), generator=generator(7)).to(dtype)


def by_scipy(image: np.ndarray, matrix: np.ndarray, order: int, border: str) -> np.ndarray:
    """One channel by scipy, whose coordinates are (row, column) from the corner and run from output to input."""
    back = np.linalg.inv(matrix[:, :2])
    swap = np.array([[0, 1], [1, 0]])
    linear = swap @ back @ swap
    middle = (np.array(image.shape) - 1) / 2
    offset = middle - linear @ (middle + swap @ matrix[:, 2])
    return ndimage.affine_transform(image, linear, offset, order=order, mode=SCIPY_BORDERS[border])


@pytest.mark.parametrize("border", ["zeros", "border", "reflect"])
def test_bilinear_is_scipys(border):
    x = pictures()
    matrices = affine_matrices(
        torch.tensor([20.0, -75, 5, 0, 190, 33]),
        torch.tensor([1.0, 0.8, 1.3, 1, 1, 0.9]),
        torch.tensor([0.0, 0.2, 0, 0.3, 0, -0.1]),
        torch.tensor([0.1, 0, 0, 0, 0, 0.2]),
        torch.tensor([0.0, 1.25, -2, 0.5, 0, 3]),
        torch.tensor([0.7, 0, 1, -0.5, 0, -1]),
    )
    result = affine(x, matrices, border=border)
    for n in range(len(x)):
        for channel in range(3):
            expected = by_scipy(x[n, channel].numpy(), matrices[n].numpy(), 1, border)
            assert_close(result[n, channel].numpy(), expected, rtol=1e-9, atol=1e-9)


def test_nearest_is_scipys():
    x = pictures()
    matrices = affine_matrices(torch.tensor([21.0, -74, 5, 3, 191, 33]), 1.1, dx=0.3, dy=-0.2)
    result = affine(x, matrices, "nearest")
    for n in range(len(x)):
        expected = by_scipy(x[n, 0].numpy(), matrices[n].numpy(), 0, "zeros")
        assert_close(result[n, 0].numpy(), expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("border", ["zeros", "border", "reflect"])
def test_the_identity_and_quarter_turns_are_exact(dtype, border):
    x = pictures(height=11, width=11, dtype=dtype) if dtype != torch.float32 else torch.rand(6, 3, 11, 11) * 255
    assert torch.equal(affine(x, affine_matrices(0.0), border=border), x)
    for turns in range(1, 4):
        assert torch.equal(affine(x, affine_matrices(90.0 * turns), border=border), torch.rot90(x, turns, (2, 3)))


def test_positive_angles_turn_as_pillow_turns():
    x = pictures(1, 10, 10, torch.uint8)
    turned = Image.fromarray(x[0].permute(1, 2, 0).numpy()).rotate(90)
    assert np.array_equal(affine(x, affine_matrices(90.0))[0].permute(1, 2, 0).numpy(), np.asarray(turned))
    other_way = Image.fromarray(x[0].permute(1, 2, 0).numpy()).rotate(-90)  # control
    assert not np.array_equal(np.asarray(turned), np.asarray(other_way))


def test_whole_moves_are_copies():
    x = torch.rand(1, 3, 8, 6) * 255
    moved = affine(x, affine_matrices(0.0, dx=2.0, dy=-3.0))
    assert torch.equal(moved[..., :5, 2:], x[..., 3:, :4]) and moved[..., 5:, :].abs().max() == 0


@settings(max_examples=25, deadline=None)
@given(st.floats(-180, 180), st.floats(0.5, 2), st.floats(-0.5, 0.5), st.floats(-0.5, 0.5), st.floats(-5, 5))
def test_a_map_and_its_inverse_bring_a_smooth_image_back(degrees, scale, shear_x, shear_y, dx):
    rows, columns = torch.meshgrid(*[torch.linspace(-1, 1, 65, dtype=torch.float64)] * 2, indexing="ij")
    x = 100 * torch.exp(-20 * (rows.square() + columns.square())).view(1, 1, 65, 65)
    matrix = affine_matrices(degrees, scale, shear_x, shear_y, dx)
    linear = torch.linalg.inv(matrix[:, :, :2])
    back = torch.cat([linear, -linear @ matrix[:, :, 2:]], 2)
    there = affine(affine(x, matrix), back)
    inside = (rows.square() + columns.square()).sqrt() < 0.15  # never leaves the picture
    # linear interpolation is off by at most h² max|f″| / 8 a pass and axis, h = 1 / 32 over the scale of the map
    assert (there - x)[0, 0][inside].abs().max() < 2 * 2 * 100 * 40 / 8 / 32**2 * 16


@pytest.mark.parametrize(
    "setting,expected",
    [
        ({"degrees": 30.0}, [[0.75**0.5, 0.5, 0], [-0.5, 0.75**0.5, 0]]),
        ({"degrees": 0.0, "scale": 2.0, "shear_x": 0.25}, [[2, 0.5, 0], [0, 2, 0]]),
        ({"degrees": 0.0, "shear_y": 0.25, "dx": 1.0, "dy": 2.0}, [[1, 0, 1], [0.25, 1, 2]]),
        ({"degrees": 90.0, "shear_x": 0.5}, [[0, 1, 0], [-1, -0.5, 0]]),
    ],
)
def test_matrices(setting, expected):  # closed form
    assert_close(affine_matrices(**setting)[0], torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_random_maps_stay_in_their_range_and_fill_it():
    rows, columns = torch.meshgrid(*[torch.arange(41.0) - 20] * 2, indexing="ij")
    spot = torch.exp(-(rows.square() + (columns - 6).square()) / 4).expand(2000, 1, 41, 41)  # 6 to the right

    def seen(**options) -> tuple[torch.Tensor, torch.Tensor]:
        image = random_affine(spot, generator(), **options)[:, 0]
        mass = image.sum((1, 2))
        return (image * columns).sum((1, 2)) / mass, (image * rows).sum((1, 2)) / mass

    def spans(values: torch.Tensor, low: float, high: float) -> bool:
        slack = 0.03 * (high - low)
        return abs(values.min().item() - low) < slack and abs(values.max().item() - high) < slack

    x, y = seen(degrees=40.0)
    assert spans(torch.rad2deg(torch.atan2(-y, x)), -40, 40)
    assert spans(seen(scale=0.6)[0], 6 / 1.6, 6 * 1.6)
    x, y = seen(translate=0.1)
    assert spans(x - 6, -4.1, 4.1) and spans(y, -4.1, 4.1)
    x, y = seen(shear=0.2)
    assert spans(y, -1.2, 1.2) and (x - 6).abs().max() < 0.1


def test_wrong_shapes_and_names_are_refused():
    x = pictures()
    with pytest.raises(InputError, match=r"images \(6, 3, 9, 12\) and matrices \(5, 2, 3\) don't fit"):
        affine(x, affine_matrices(torch.zeros(5)))
    with pytest.raises(InputError, match="resample='cubic'"):
        affine(x, affine_matrices(0.0), "cubic")
    with pytest.raises(InputError, match="border='wrap'"):
        affine(x, affine_matrices(0.0), border="wrap")
    with pytest.raises(InputError, match="shear=2"):
        random_affine(x, generator(), shear=2)
