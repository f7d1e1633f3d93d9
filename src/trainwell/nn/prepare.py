"""From raw tensors to what a network learns well from: inputs of mean 0 and variance about 1.

The statistics are buffers, so they are saved with the weights and travel with an exported model. All shapes follow
from the statistics' shapes, never from their values.

    image, array:  (x − mean) / std                                     (an image's x is first divided by 255)
    number:        z / √(1 + (z/3)²),  z = (x − mean) / std             grows to ±3 instead of without bound
    number again:  clip((x − q_{t−1}) / (q_t − q_{t−1}), 0, 1)          piecewise-linear encoding, one for each bin t
    number again:  1 if it is missing, else 0                           for columns in which training saw a gap
    category:      one-hot, or an embedding where there are many; unknown and missing ones are the zero vector

A table whose numbers are scaled otherwise has that in place of its clipped numbers and bins, see ``TableInput``; for
images and arrays see ``scaled_input``.
Sources: Gorishniy et al. 2022, "On Embeddings for Numerical Features", §3.2, arXiv:2203.05556 (encoding; ours is
clipped in the outer bins too); Holzmüller et al. 2024, "Better by Default", arXiv:2407.04491 (smooth clipping).
"""

from collections.abc import Mapping, Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

ONE_HOT_UP_TO = 32
"""Columns with more categories than this are embedded: a wide one-hot vector would be most of the network."""


def statistic(values: ArrayLike) -> Tensor:
    """Copy statistics, usually float64 arrays, into a float32 tensor."""
    return torch.as_tensor(values).detach().to(torch.float32).clone()


class ImageInput(nn.Module):
    """Standardize images by channel: (x / 255 − mean) / std, float32.

    Args:
        mean: of x / 255 over the training part, shape (C,), dimensionless.
        std: of the same, shape (C,), greater than zero.
        shape: (C, H, W) of one image; (C, 0, 0) while unknown.
    """

    layer_kind = "input"

    mean: Tensor
    std: Tensor

    def __init__(self, mean: ArrayLike, std: ArrayLike, shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", statistic(mean))
        self.register_buffer("std", statistic(std))
        self.shape = tuple(shape) if shape is not None else (self.mean.numel(), 0, 0)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W), uint8 or float in 0 … 255, to float32 of the same shape."""
        scale = (255 * self.std).reciprocal().view(1, -1, 1, 1)
        shift = (self.mean / self.std).view(1, -1, 1, 1)
        return images.to(scale.dtype) * scale - shift

    def extra_repr(self) -> str:
        return f"{self.mean.numel()} channels"


class ArrayInput(nn.Module):
    """Standardize the last axis of float arrays, (N, F) or (N, T, F): (x − mean) / std, float32.

    Args:
        mean: of each feature over the training part, shape (F,).
        std: of the same, shape (F,), greater than zero.
        shape: of one sample, (F,) or (T, F); (F,) if None.
    """

    layer_kind = "input"

    mean: Tensor
    std: Tensor

    def __init__(self, mean: ArrayLike, std: ArrayLike, shape: Sequence[int] | None = None) -> None:
        super().__init__()
        self.register_buffer("mean", statistic(mean))
        self.register_buffer("std", statistic(std))
        self.shape = tuple(shape) if shape is not None else tuple(self.mean.shape)

    def forward(self, features: Tensor) -> Tensor:
        return (features.to(self.mean.dtype) - self.mean) / self.std

    def extra_repr(self) -> str:
        return f"{tuple(self.mean.shape)}"


class TableInput(nn.Module):
    """Encode the numbers and categories of a table as one float vector a row.

    The vector holds, in this order: F clipped standardized numbers (gaps take the median), F · (Q − 1) piecewise-linear
    bins, F flags of gaps, then each category's one-hot vector or embedding. A bin of width zero (quantiles that
    coincide, as in columns of few values) and the flag of a column without gaps in training are constant zeros.
    With ``scaled`` the numbers, gaps filled with the median, go through that module, and what it makes stands in place
    of the clipped numbers and of the bins: the network then sees exactly what was asked for, outliers at full size.

    Args:
        mean, std, median: of each number column, ignoring gaps, shape (F,); std greater than zero.
        quantiles: of each number column, ascending, shape (F, Q).
        missing: share of gaps in each number column of the training part, shape (F,), 0 … 1.
        cardinalities: number of categories of each category column; codes run from 0, −1 is unknown or missing.
        scaled: (N, F) → (N, K), its ``shape`` (K,): ``AffineInput`` or ``LinearInput``; None for the default.
    """

    layer_kind = "input"

    mean: Tensor
    std: Tensor
    median: Tensor
    edges: Tensor
    flagged: Tensor

    def __init__(
        self,
        mean: ArrayLike,
        std: ArrayLike,
        median: ArrayLike,
        quantiles: ArrayLike,
        missing: ArrayLike,
        cardinalities: Sequence[int] = (),
        scaled: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", statistic(mean))
        self.register_buffer("std", statistic(std))
        self.register_buffer("median", statistic(median))
        self.register_buffer("edges", statistic(quantiles))
        self.register_buffer("flagged", (statistic(missing) > 0).to(torch.float32))
        encoders = [OneHot(n) if n <= ONE_HOT_UP_TO else CategoryEmbedding(n) for n in map(int, cardinalities)]
        self.encoders = nn.ModuleList(encoders)
        self.scaled = scaled
        columns = self.mean.numel()
        numbers = columns * (2 + max(self.edges.shape[-1] - 1, 0))
        if scaled is not None:
            numbers = columns + int(scaled.shape[0])  # type: ignore[index]
        self.shape = (numbers + sum(encoder.width for encoder in encoders),)

    def forward(self, rows: Mapping[str, Tensor] | Sequence[Tensor]) -> Tensor:
        """Map numbers (N, F) with NaN for gaps and codes (N, K), as a dict or a pair, to float32 (N, *shape)."""
        numbers, codes = (rows["numbers"], rows["categories"]) if isinstance(rows, Mapping) else rows
        parts = self.encode_numbers(numbers) if self.mean.numel() else []
        parts += [encoder(codes[:, column]) for column, encoder in enumerate(self.encoders)]
        return torch.cat(parts, dim=1)

    def encode_numbers(self, numbers: Tensor) -> list[Tensor]:
        """Return the clipped standardized values (N, F), the bins (N, F·(Q − 1)) and the flags of gaps (N, F).

        With ``scaled``: what it makes (N, K) and the flags.
        """
        numbers = numbers.to(self.mean.dtype)
        known = torch.isfinite(numbers)
        filled = torch.where(known, numbers, self.median)
        gaps = torch.where(known, torch.zeros_like(self.flagged), self.flagged)
        if self.scaled is not None:
            return [self.scaled(filled), gaps]
        z = (filled - self.mean) / self.std
        clipped = z * torch.rsqrt(1 + (z / 3).square())
        left, width = self.edges[:, :-1], self.edges[:, 1:] - self.edges[:, :-1]
        bins = ((filled.unsqueeze(2) - left) / torch.where(width > 0, width, 1)).clamp(0, 1) * (width > 0)
        return [clipped, bins.flatten(1), gaps]

    def extra_repr(self) -> str:
        return f"{self.mean.numel()} numbers, {len(self.encoders)} categories -> {self.shape[0]}"


class OneHot(nn.Module):
    """Encode codes 0 … count − 1 as unit vectors of that length and any other code as zeros."""

    layer_kind = "embedding"

    codes: Tensor

    def __init__(self, count: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.arange(count), persistent=False)
        self.width = count

    def forward(self, codes: Tensor) -> Tensor:
        return (codes.unsqueeze(1) == self.codes).to(torch.float32)

    def extra_repr(self) -> str:
        return f"{self.width}"


class CategoryEmbedding(nn.Module):
    """Encode codes 0 … count − 1 as learned vectors; any other code has a vector of its own that starts at zero.

    The width, 1.6 · count^0.56 and at most 64, is fastai's rule of thumb.
    """

    layer_kind = "embedding"

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count
        self.width = min(64, round(1.6 * count**0.56))
        self.table = nn.Embedding(count + 1, self.width)
        nn.init.normal_(self.table.weight, std=self.width**-0.5)
        with torch.no_grad():
            self.table.weight[0] = 0

    def forward(self, codes: Tensor) -> Tensor:
        known = (codes >= 0) & (codes < self.count)
        return self.table(torch.where(known, codes + 1, 0))
