"""An operator that is a mean over batches: the graph of each batch is built once for all columns of a product."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.averaged import MeanLoss
from trainwell.curvature.flat import flatten, unflatten
from trainwell.curvature.operators import LinearOperator
from trainwell.curvature.products import Product


class AveragedOperator(LinearOperator):
    """Σ_b s_b A_b / Σ_b s_b over the batches of a mean loss."""

    def __init__(self, mean: MeanLoss) -> None:
        super().__init__(mean.shapes, mean.dtype, mean.device)
        self.mean = mean

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parameters, in the order of the vector."""
        return self.mean.names

    @abstractmethod
    def _of_batch(self, x: Any, y: Any) -> Product:
        """v ↦ A_b v."""

    def _share(self, x: Any, y: Any) -> float:
        return self.mean.share(x, y)

    def _matmat(self, columns: Tensor) -> Tensor:
        return self.mean.average(lambda x, y: applied(self._of_batch(x, y), columns, self.shapes), self._share)


class GraphOperator(LinearOperator):
    """An operator whose product function is at hand (one graph, kept) or built anew for every product.

    Args:
        params: whose shapes, dtype and device the vectors have.
        build: gives the product function.
    """

    def __init__(self, params: Sequence[Tensor], build: Callable[[], Product]) -> None:
        super().__init__([p.shape for p in params], params[0].dtype, params[0].device)
        self._build = build

    def _matmat(self, columns: Tensor) -> Tensor:
        return applied(self._build(), columns, self.shapes)


def applied(product: Product, columns: Tensor, shapes: Sequence[torch.Size]) -> Tensor:
    """The product with each of the columns (n, k)."""
    results = [flatten(product(unflatten(column, shapes))) for column in columns.T.contiguous()]
    return torch.stack(results, 1) if results else torch.empty_like(columns)
