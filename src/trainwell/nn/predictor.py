"""The whole model: raw tensors in, logits or values in the target's own units out."""

from collections.abc import Callable
from typing import Any

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from trainwell.nn.prepare import statistic


class Unstandardize(nn.Module):
    """Turn values on the standardized scale back into the target's units: y = mean + std · x.

    Args:
        mean: of the target's training part, shape (T,).
        std: of the same, shape (T,), greater than zero.
    """

    layer_kind = "output"

    mean: Tensor
    std: Tensor

    def __init__(self, mean: ArrayLike, std: ArrayLike) -> None:
        super().__init__()
        self.register_buffer("mean", statistic(mean))
        self.register_buffer("std", statistic(std))

    def forward(self, values: Tensor) -> Tensor:
        return torch.addcmul(self.mean, values.to(self.std.dtype), self.std)

    def extra_repr(self) -> str:
        return f"{self.mean.numel()}"


class Predictor(nn.Module):
    """Compose the preparation of raw input, the trainable body and the way back to the target's units.

        forward(x) = restore(body(prepare(augment(x))))

    Args:
        prepare: raw tensors → float tensor (N, *inputs): ``ImageInput``, ``ArrayInput``, ``TableInput``.
        body: (N, *inputs) → (N, outputs).
        restore: (N, outputs) → (N, outputs): ``Unstandardize`` for regression, the identity if None.
        augment: changes raw batches in training mode only, drawing from torch's global generator; None for none.
        views: ``views(answer, x)`` gives the answer in evaluation mode from those to several views of x (test-time
            augmentation); None for one look.
    """

    def __init__(
        self,
        prepare: nn.Module,
        body: nn.Module,
        restore: nn.Module | None = None,
        augment: Callable[[Any, torch.Generator], Any] | None = None,
        views: Callable[[Callable[[Any], Tensor], Any], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.augment, self.views = augment, views
        self.prepare = prepare
        self.body = body
        self.restore = nn.Identity() if restore is None else restore

    def forward(self, x: Any) -> Tensor:
        if self.training and self.augment is not None:
            x = self.augment(x, torch.default_generator)
        if not self.training and self.views is not None:
            return self.views(self._answer, x)
        return self._answer(x)

    def _answer(self, x: Any) -> Tensor:
        return self.restore(self.body(self.prepare(x)))
