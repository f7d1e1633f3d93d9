"""Change the tones of images of values 0 … 255, each image or channel by itself.

    invert        255 − x
    solarize      255 − x where x ≥ threshold
    posterize     the highest ``bits`` bits of x
    autocontrast  255 · (x − lowest) / (highest − lowest), of each channel
    equalize      by the table (⌊s/2⌋ + number of darker pixels) // s, s = ⌊pixels that are not the brightest / 255⌋
    sharpness     S + f · (x − S), S the mean over 3×3 pixels with the middle one counted 5 times, edges unchanged

These are the definitions of Pillow's ImageOps and ImageEnhance; equalize, posterize and solarize give its very bits.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from trainwell.data.augment.values import WHITE, as_float, clipped, like, per_image


def invert(images: Tensor) -> Tensor:
    """Turn black into white."""
    return 255 - images


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert each pixel that is at least its image's threshold, 0 … 256; 256 changes nothing."""
    return torch.where(images >= per_image(thresholds, images), 255 - images, images)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep the highest 0 … 8 bits of each value; 8 changes nothing but fractions."""
    step = torch.exp2(8 - per_image(bits, images))
    return like(torch.floor(as_float(images) / step) * step, images)


def autocontrast(images: Tensor) -> Tensor:
    """Stretch each channel of each image to 0 … 255; a channel of one value stays."""
    x = as_float(images)
    low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
    span = high - low
    stretched = (x - low) * (WHITE / torch.where(span > 0, span, 1))
    return clipped(torch.where(span > 0, stretched, x), images)


def equalize(images: Tensor) -> Tensor:
    """Make the values of each channel of each image as evenly spread as its ties allow; float values are rounded."""
    count, channels, height, width = images.shape
    levels = images.to(torch.int64) if images.dtype == torch.uint8 else images.round().clamp(0, WHITE).to(torch.int64)
    levels = levels.view(count * channels, height * width)
    first = torch.arange(count * channels, device=images.device).unsqueeze(1) * 256
    histogram = torch.bincount((levels + first).flatten(), minlength=count * channels * 256).view(-1, 256)
    brightest = histogram.gather(1, levels.amax(1, keepdim=True))
    step = (height * width - brightest) // 255
    darker = histogram.cumsum(1) - histogram
    table = ((step // 2 + darker) // step.clamp_min(1)).clamp(0, 255)
    table = torch.where(step > 0, table, torch.arange(256, device=images.device))
    return table.gather(1, levels).view_as(images).to(images.dtype)


def sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Move each pixel away from (or to) the smoothed image by its factor ≥ 0; 1 changes nothing."""
    x, channels = as_float(images), images.shape[1]
    if min(images.shape[2:]) < 3:
        return images
    kernel = x.new_ones(3, 3)
    kernel[1, 1] = 5
    kernel = (kernel / kernel.sum()).expand(channels, 1, 3, 3)
    smooth = x.clone()
    smooth[:, :, 1:-1, 1:-1] = F.conv2d(x, kernel, groups=channels)
    if not images.is_floating_point():
        smooth = smooth.round()
    return clipped(smooth + per_image(factors, images) * (x - smooth), images)
