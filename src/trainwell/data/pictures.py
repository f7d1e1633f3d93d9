"""One picture file as uint8 levels (C, H, W) of a wanted shape.

EXIF orientation is applied; transparency is laid on white; palettes, CMYK, YCbCr, LAB and HSV become RGB; 16-bit grey
is divided by 257; another size is resized (bilinear with antialiasing, the aspect ratio not kept).
"""

import io
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainwell.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N"})
ORIENTATION = 0x0112
LARGEST_KEPT = 256
"""Pictures that all have one size stay as they are up to this many pixels a side."""
LARGEST_CHOSEN = 224
"""Longer side of the size that is chosen otherwise, in pixels."""


class BadPicture(Exception):
    """A picture that cannot be decoded; the text says why."""


@contextmanager
def decoding() -> Iterator[None]:
    """Turn Pillow's warning about decompression bombs (more than 89 million pixels) into an error."""
    from PIL.Image import DecompressionBombWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", DecompressionBombWarning)
        yield


@contextmanager
def opened(source: Path | bytes) -> Iterator["Image"]:
    """A picture whose header is read; whatever goes wrong, here or later, is a `BadPicture`."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise BadPicture("it has more than 89 million pixels (a decompression bomb?)") from None
    except Image.UnidentifiedImageError:
        raise BadPicture("it is not a picture in a format that Pillow knows") from None
    except (OSError, SyntaxError, ValueError, EOFError, ArithmeticError, LookupError, TypeError) as error:
        raise BadPicture(f"it cannot be decoded: {error}".rstrip(".")) from None


def look(image: "Image") -> tuple[int, int, bool]:
    """Height and width after orientation, and whether it is in colour; reads the header only."""
    width, height = image.size
    told = image.format in ("JPEG", "TIFF", "WEBP") or "exif" in image.info
    if told and image.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8):
        width, height = height, width
    return height, width, image.mode not in GREY_MODES


def levels(image: "Image", shape: tuple[int, ...]) -> np.ndarray:
    """The picture as uint8 (C, H, W) of this shape, C being 1 or 3."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "F":
        raise BadPicture("its pixels are floating-point numbers whose scale is unknown; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        sixteen = np.asarray(image).astype(np.int64)
        image = Image.fromarray((sixteen.clip(0, 65535) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        overlay = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", overlay.size, "white"), overlay).convert("RGB")
    wanted = "L" if channels == 1 else "RGB"
    if image.mode != wanted:
        image = (image if image.mode in ("L", "1", "RGB") else image.convert("RGB")).convert(wanted)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    array = np.asarray(image)
    return array[None] if channels == 1 else array.transpose(2, 0, 1)


def height_and_width(image_size: int | Sequence[int] | None) -> tuple[int, int] | None:
    """A side, or height and width, as the latter."""
    if image_size is None:
        return None
    sides = (image_size, image_size) if isinstance(image_size, int) else tuple(image_size)
    if len(sides) != 2 or not all(isinstance(side, int) and 1 <= side <= 65535 for side in sides):
        raise InputError(f"image_size is {image_size}.", "Give a side, or height and width, of at least 1 pixel.")
    return sides


def common_shape(
    looks: Iterable[tuple[int, int, bool]], image_size: tuple[int, int] | None
) -> tuple[tuple[int, int, int], str]:
    """One shape for all pictures, and a note where sizes differ or were made smaller.

    The size is the only one there is (up to 256 pixels a side), else the median height and width, the longer side at
    most 224; ``image_size`` (height and width) wins. Three channels if any picture has colour.
    """
    table = np.array([(height, width, colour) for height, width, colour in looks], dtype=np.int64)
    channels = 3 if table[:, 2].any() else 1
    sizes = np.unique(table[:, :2], axis=0)
    if image_size is not None:
        height, width = image_size
    else:
        height, width = (int(side) for side in np.median(table[:, :2], axis=0).round())
        longest, limit = max(height, width), LARGEST_KEPT if len(sizes) == 1 else LARGEST_CHOSEN
        if longest > limit:
            scale = LARGEST_CHOSEN / longest
            height, width = max(1, round(height * scale)), max(1, round(width * scale))
    shape = (channels, height, width)
    if len(sizes) == 1 and tuple(sizes[0]) == (height, width):
        return shape, ""
    low, high = sizes.min(0), sizes.max(0)
    found = f"{low[0]}×{low[1]}" if len(sizes) == 1 else f"from {low[0]}×{low[1]} to {high[0]}×{high[1]}"
    return shape, f"The pictures are {found} pixels (height × width); all are resized to {height}×{width} (image_size)."
