"""Rotate, scale, shear and translate images in one resampling.

The content moves by p → A p + t, where p = (x, y) is measured in pixels from the centre of the image, x to the right
and y down; so the output at p is the input at A⁻¹ (p − t), interpolated bilinearly or taken from the nearest pixel:

    A = scale · [[ cos θ, sin θ], [−sin θ, cos θ]] · [[1, shear_x], [shear_y, 1]]         θ > 0 turns counterclockwise

Images whose pixels land on pixels (the identity, quarter turns of a square, moves by whole pixels) are copied exactly.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from trainwell.data.augment.draws import uniform, within
from trainwell.data.augment.values import as_float, like
from trainwell.errors import InputError

BORDERS = {"zeros": "zeros", "border": "border", "reflect": "reflection"}
RESAMPLING = ("bilinear", "nearest")


def affine_matrices(
    degrees: Tensor | float,
    scale: Tensor | float = 1.0,
    shear_x: Tensor | float = 0.0,
    shear_y: Tensor | float = 0.0,
    dx: Tensor | float = 0.0,
    dy: Tensor | float = 0.0,
) -> Tensor:
    """Compose [A | t], (N, 2, 3), float64, of degrees, factors, slopes and moves in pixels, each (N,) or one number.

    Example:
        >>> affine_matrices(0.0, scale=2.0, dx=3.0).tolist()
        [[[2.0, 0.0, 3.0], [0.0, 2.0, 0.0]]]
    """
    given = [torch.as_tensor(v, dtype=torch.float64) for v in (degrees, scale, shear_x, shear_y, dx, dy)]
    device = next((v.device for v in given if v.device.type != "cpu"), given[0].device)
    angle, size, slope_x, slope_y, right, down = torch.broadcast_tensors(*[v.to(device).reshape(-1) for v in given])
    cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    rows = [
        size * (cos + sin * slope_y), size * (cos * slope_x + sin), right,
        size * (cos * slope_y - sin), size * (cos - sin * slope_x), down,
    ]  # fmt: skip
    return torch.stack(rows, 1).view(-1, 2, 3)


def affine(images: Tensor, matrices: Tensor, resample: str = "bilinear", border: str = "zeros") -> Tensor:
    """Move the content of each image by p → A p + t.

    Args:
        images: (N, C, H, W), uint8 (rounded) or float; kept dtype.
        matrices: [A | t], shape (N, 2, 3) or (1, 2, 3), pixels from the centre; A must be invertible.
        resample: ``bilinear`` or ``nearest``.
        border: what lies outside: ``zeros``, ``border`` (the nearest edge pixel) or ``reflect`` (edge pixels repeated).

    Raises:
        InputError: if shapes or names are wrong.
    """
    if resample not in RESAMPLING:
        raise InputError(f"affine: resample={resample!r} is not known.", f"Use one of {', '.join(RESAMPLING)}.")
    if border not in BORDERS:
        raise InputError(f"affine: border={border!r} is not known.", f"Use one of {', '.join(BORDERS)}.")
    if images.dim() != 4 or matrices.shape[1:] != (2, 3) or len(matrices) not in (1, len(images)):
        raise InputError(
            f"affine: images {tuple(images.shape)} and matrices {tuple(matrices.shape)} don't fit.",
            "Use images (N, C, H, W) and matrices (N, 2, 3).",
        )
    matrices = matrices.to(torch.float64).expand(len(images), -1, -1)
    back = _inverted(matrices)
    if resample == "nearest":
        return like(_sampled(as_float(images), back, "nearest", border), images)
    result = like(_sampled(as_float(images), back, "bilinear", border), images)
    exact = _on_pixels(back, images.shape[2], images.shape[3]).nonzero().squeeze(1)
    if len(exact):
        place = exact.to(images.device)
        copied = _sampled(as_float(images.index_select(0, place)), back[exact], "nearest", border)
        result = result.index_copy(0, place, like(copied, images))
    return result


def _inverted(matrices: Tensor) -> Tensor:
    (a, b, t), (c, d, u) = matrices.unbind(1)[0].unbind(1), matrices.unbind(1)[1].unbind(1)
    determinant = a * d - b * c
    linear = torch.stack([d, -b, -c, a], 1).view(-1, 2, 2) / determinant.view(-1, 1, 1)
    return torch.cat([linear, -linear @ torch.stack([t, u], 1).unsqueeze(2)], 2)


def _on_pixels(back: Tensor, height: int, width: int) -> Tensor:
    """Does every output pixel come from exactly one input pixel? (N,)"""
    middle = back.new_tensor([(width - 1) / 2, (height - 1) / 2])
    corner = (back[:, :, :2] @ -middle.unsqueeze(1)).squeeze(2) + back[:, :, 2] + middle
    numbers = torch.cat([back[:, :, :2].flatten(1), corner], 1)
    return ((numbers - numbers.round()).abs() < 1e-6).all(1)  # a millionth of a pixel is rounding


def _sampled(images: Tensor, back: Tensor, resample: str, border: str) -> Tensor:
    height, width = images.shape[2:]
    theta = back.clone()  # from pixels to the coordinates of grid_sample, in which the sides run from −1 to 1
    theta[:, 0, 1] *= height / width
    theta[:, 1, 0] *= width / height
    theta[:, 0, 2] *= 2 / width
    theta[:, 1, 2] *= 2 / height
    grid = F.affine_grid(theta.to(images.device, images.dtype), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode=resample, padding_mode=BORDERS[border], align_corners=False)


def random_affine(
    images: Tensor,
    generator: torch.Generator,
    *,
    degrees: float = 0.0,
    scale: float = 0.0,
    shear: float = 0.0,
    translate: float = 0.0,
    resample: str = "bilinear",
    border: str = "zeros",
) -> Tensor:
    """Give each image of (N, C, H, W) its own random affine map.

    Args:
        images: uint8 or float.
        generator: source of the maps.
        degrees: largest turn, uniform in ±degrees, 0 to 180.
        scale: largest enlargement less 1: the factor is log-uniform in [1 / (1 + scale), 1 + scale].
        shear: largest slope, uniform in ±shear for x and for y, 0 to 0.9.
        translate: largest move as a share of the side, uniform in ±translate, 0 to 1; any fraction of a pixel.
        resample, border: as in ``affine``.
    """
    within("random_affine", "degrees", degrees, 0, 180)
    within("random_affine", "scale", scale, 0, 10)
    within("random_affine", "shear", shear, 0, 0.9)
    within("random_affine", "translate", translate, 0, 1)
    drawn = uniform((6, len(images)), generator, generator.device, -1, 1).double()
    height, width = images.shape[2:]
    matrices = affine_matrices(
        drawn[0] * degrees,
        torch.exp(drawn[1] * math.log1p(scale)),
        drawn[2] * shear,
        drawn[3] * shear,
        drawn[4] * translate * width,
        drawn[5] * translate * height,
    )
    return affine(images, matrices, resample, border)
