"""A uint8 array as a data URI that a page can show without a file beside it."""

import base64
import io

import numpy as np
from numpy.typing import NDArray

LARGEST_SIDE = 128
LARGEST_PNG = 16_000


def data_uri(image: NDArray[np.uint8]) -> str:
    """Return ``image`` as a PNG (a JPEG where the PNG would be heavy), at most 128 pixels a side.

    Args:
        image: uint8, shape (H, W) or (C, H, W); C = 1, 3 or 4 are gray, RGB, RGBA, any other C shows its mean.

    Raises:
        ValueError: if the array is no such picture.
    """
    from PIL import Image

    picture = Image.fromarray(_pixels(np.asarray(image)))
    picture.thumbnail((LARGEST_SIDE, LARGEST_SIDE))
    png = _encode(picture, "PNG", optimize=True)
    if len(png) > LARGEST_PNG:
        return _uri("jpeg", _encode(picture.convert("RGB"), "JPEG", quality=88))
    return _uri("png", png)


def shades(strength: NDArray[np.floating], colours: NDArray[np.uint8]) -> str:
    """Return a PNG of one pixel a cell, transparent where ``strength`` is 0, for a heat map on any background.

    Sixteen shades: as many as one tells apart, and few enough for a thousand classes to take little room.

    Args:
        strength: shape (R, C), in [0, 1].
        colours: shape (R, C, 3), the colour of each cell at full strength.
    """
    from PIL import Image

    alpha = (17 * np.ceil(15 * np.clip(strength, 0, 1))).astype(np.uint8)
    pixels = np.dstack([np.where(alpha[..., None] > 0, colours, 0).astype(np.uint8), alpha])
    return _uri("png", _encode(Image.fromarray(pixels), "PNG", compress_level=3))


def _pixels(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an array as Pillow takes it: (H, W), (H, W, 3) or (H, W, 4)."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise ValueError(
            f"A picture of the report has dtype {image.dtype} and shape {image.shape}. "
            "Give uint8 of shape (H, W) or (C, H, W)."
        )
    if image.ndim == 2:
        return np.ascontiguousarray(image)
    channels = image.shape[0]
    if channels in (3, 4):
        return np.ascontiguousarray(np.moveaxis(image, 0, 2))
    return np.ascontiguousarray(image[0] if channels == 1 else np.round(image.mean(0)).astype(np.uint8))


def _encode(picture, form: str, **options) -> bytes:  # type: ignore[no-untyped-def]
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _uri(kind: str, content: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
