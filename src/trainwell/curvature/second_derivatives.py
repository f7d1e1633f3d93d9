"""The Hessian of a loss as an operator: H v = ∇((∇L)ᵀ v), by double backward.

A product over a data set costs about 3 passes of it (measured 2.9–3.9 times a gradient, by architecture); no matrix is
stored. H is symmetric and, off a minimum, indefinite in general. Piecewise linear activations count with the second
derivative almost everywhere: ReLU's is 0.
Source: Pearlmutter 1994, "Fast exact multiplication by the Hessian", Neural Computation 6.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainwell.curvature.averaged import MeanLoss
from trainwell.curvature.averaged_operator import AveragedOperator, GraphOperator
from trainwell.curvature.operators import LinearOperator
from trainwell.curvature.products import Product, hessian_product
from trainwell.curvature.weight_norm_kernel import unfused


class HasLoss(Protocol):
    """What gives the scalar loss of a batch with its graph, as ``trainwell.optim.Closure`` does."""

    def loss(self) -> Tensor: ...


class Hessian(AveragedOperator):
    """∂²L/∂w² of the mean loss of a model over batches, with respect to its trainable parameters.

    Args:
        model, loss, batches, names: see :class:`~trainwell.curvature.MeanLoss`.

    Raises:
        InputError: see there; from a product if a kernel cannot be differentiated twice.

    Example:
        >>> net, x, y = nn.Linear(2, 1, bias=False), torch.eye(2), torch.zeros(2, 1)
        >>> Hessian(net, nn.MSELoss(), (x, y)).dense()  # 2 XᵀX / N
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(
        self, model: nn.Module, loss: Callable[[Any, Any], Tensor], batches: Any, names: Iterable[str] | None = None
    ) -> None:
        super().__init__(MeanLoss(model, loss, batches, names))

    def _of_batch(self, x: Any, y: Any) -> Product:
        return hessian_product(self.mean.loss(self.mean.model(x), y), self.mean.parameters)

    @staticmethod
    def of_loss(loss: Tensor, params: Sequence[Tensor]) -> LinearOperator:
        """Of a scalar with its graph, at the values it was computed with; many products share one graph."""
        product = hessian_product(loss, params)
        return GraphOperator(params, lambda: product)

    @staticmethod
    def of_closure(closure: HasLoss, params: Sequence[Tensor]) -> LinearOperator:
        """Of the loss of one batch: ``closure.loss()`` is evaluated once, here."""
        with torch.enable_grad(), unfused():
            return Hessian.of_loss(closure.loss(), params)

    @staticmethod
    def of_function(fun: Callable[..., Tensor], params: Sequence[Tensor] | Tensor) -> LinearOperator:
        """Of ``fun(*params)``, at the values that ``params`` have when a product is taken.

        Example:
            >>> Hessian.of_function(lambda x: x[0] * x[1] ** 2, torch.tensor([1.0, 3.0])).dense()
            tensor([[0., 6.],
                    [6., 2.]])
        """
        tensors = [params] if isinstance(params, Tensor) else list(params)

        def build() -> Product:
            with torch.inference_mode(False), torch.enable_grad(), unfused():
                leaves = [p.detach().requires_grad_() for p in tensors]
                return hessian_product(fun(*leaves), leaves)

        return GraphOperator(tensors, build)
