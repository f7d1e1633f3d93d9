"""The first layer as it was fitted on the training part: feature by feature, or one matrix for all of them.

    AffineInput:  y = scale · (x / unit − offset)          LinearInput:  y = W (x / unit − μ)

Nothing here learns; the numbers are buffers, saved with the weights and exported with the model. They are fitted by
:func:`trainwell.data.fit_scaling` in float64 and used in float32, also under autocast: the rows of a whitening matrix
are as long as 1/σ of the smallest direction, and bfloat16 would round away what they tell apart.
"""

from collections.abc import Sequence

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from trainwell.nn.prepare import statistic


class AffineInput(nn.Module):
    """Shift and scale each feature: y = scale · (x / unit − offset), float32.

    Args:
        offset: in the unit of x / unit, a shape that broadcasts to ``shape``, such as (C, 1, 1), (C, H, W) or (F,).
        scale: like ``offset``; one over a spread.
        shape: of one sample.
        unit: what x is divided by first: 255 for levels of uint8.

    Raises:
        ValueError: if offset and scale differ in shape or do not broadcast to ``shape``.

    Example:
        >>> AffineInput([1.0], [2.0], (1,))(torch.tensor([[4.0]])).tolist()
        [[6.0]]
    """

    layer_kind = "input"

    offset: Tensor
    scale: Tensor

    def __init__(self, offset: ArrayLike, scale: ArrayLike, shape: Sequence[int], unit: float = 1.0) -> None:
        super().__init__()
        self.register_buffer("offset", statistic(offset))
        self.register_buffer("scale", statistic(scale))
        self.shape, self.unit = tuple(shape), float(unit)
        pairs = zip(reversed(self.offset.shape), reversed(self.shape), strict=False)
        fits = self.offset.dim() <= len(self.shape) and all(own in (1, size) for own, size in pairs)
        if self.offset.shape != self.scale.shape or not fits:
            raise ValueError(
                f"AffineInput: offset {tuple(self.offset.shape)} and scale {tuple(self.scale.shape)} do not fit "
                f"samples of shape {self.shape}. Use one number a feature, a channel (C, 1, 1) or a pixel (C, H, W)."
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *shape), of any real dtype, to float32 of the same shape."""
        return (x.to(self.scale.dtype) / self.unit - self.offset) * self.scale

    def extra_repr(self) -> str:
        return f"{tuple(self.offset.shape)}"


class LinearInput(nn.Module):
    """Rotate or whiten: y = W (x / unit − μ), float32; the last axes of x, as many as ``mean`` has, are one vector.

    Args:
        mean: μ, of the shape of the axes that W acts on: a whole sample (C, H, W) or (F,), or the features of (T, F).
        matrix: W, shape (K, F) with F the number of elements of ``mean``.
        shape: of one sample x.
        output_shape: of one sample y, as many elements as W makes: (K,), (T, K) or, if K = F, ``shape`` itself.
        unit: what x is divided by first: 255 for levels of uint8.

    Raises:
        ValueError: if these shapes contradict each other.
    """

    layer_kind = "input"

    offset: Tensor
    matrix: Tensor

    def __init__(
        self,
        mean: ArrayLike,
        matrix: ArrayLike,
        shape: Sequence[int],
        output_shape: Sequence[int] | None = None,
        unit: float = 1.0,
    ) -> None:
        super().__init__()
        self.register_buffer("offset", statistic(mean))
        self.register_buffer("matrix", statistic(matrix))
        self.input_shape, self.unit = tuple(shape), float(unit)
        outer = self.input_shape[: len(self.input_shape) - self.offset.dim()]
        self.shape = (*outer, len(self.matrix)) if output_shape is None else tuple(output_shape)
        made = torch.Size((*outer, len(self.matrix))).numel()
        acted = self.input_shape[len(outer) :]
        fits = self.matrix.dim() == 2 and self.matrix.shape[1] == self.offset.numel()
        if not fits or acted != tuple(self.offset.shape) or torch.Size(self.shape).numel() != made:
            raise ValueError(
                f"LinearInput: mean {tuple(self.offset.shape)} and matrix {tuple(self.matrix.shape)} do not map "
                f"samples of {self.input_shape} to {self.shape}. The matrix is (outputs, inputs)."
            )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, *input_shape), of any real dtype, to float32 (N, *shape)."""
        centred = x.to(self.matrix.dtype) / self.unit - self.offset
        flat = centred.flatten(-self.offset.dim()) if self.offset.dim() > 1 else centred
        with torch.autocast(x.device.type, enabled=False):
            y = nn.functional.linear(flat, self.matrix)
        return y if tuple(y.shape[1:]) == self.shape else y.reshape(-1, *self.shape)

    def extra_repr(self) -> str:
        return f"{self.input_shape} -> {self.shape}"
