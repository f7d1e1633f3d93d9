"""The generalized Gauss–Newton matrix of a loss as an operator.

    G = Σ_n J_nᵀ Λ_n J_n / N,    J_n = ∂z_n/∂w,    Λ_n = ∂²ℓ_n/∂z_n²,

the Hessian of the loss of the model made linear in w. Positive semi-definite where ℓ is convex in the outputs z (all
usual losses), and H = G where z is linear in w, or where the residuals ∂ℓ/∂z vanish. A product over a data set costs
about 2⅓ passes of it (one forward, three backward).
Source: Schraudolph 2002, "Fast curvature matrix-vector products", Neural Computation 14; Martens 2014, arXiv:1412.1193.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from trainwell.curvature.averaged import MeanLoss
from trainwell.curvature.averaged_operator import AveragedOperator, GraphOperator
from trainwell.curvature.operators import LinearOperator
from trainwell.curvature.products import Product, loss_metric, sandwich_product
from trainwell.errors import InputError


class HasOutputs(Protocol):
    """What gives a batch's outputs with their graph and the loss of them, as ``trainwell.optim.Closure`` does."""

    def outputs(self) -> tuple[Tensor, Callable[[Tensor], Tensor]]: ...


class GaussNewton(AveragedOperator):
    """Jᵀ Λ J of the mean loss of a model over batches, with respect to its trainable parameters.

    Args:
        model, loss, batches, names: see :class:`~trainwell.curvature.MeanLoss`; outputs are one tensor.

    Raises:
        InputError: see there; from a product if the model returns no tensor or cannot be differentiated twice.

    Example:
        >>> net, x, y = nn.Linear(2, 1, bias=False), torch.eye(2), torch.zeros(2, 1)
        >>> GaussNewton(net, nn.MSELoss(), (x, y)) @ torch.tensor([1.0, 2.0])
        tensor([1., 2.])
    """

    def __init__(
        self, model: nn.Module, loss: Callable[[Any, Any], Tensor], batches: Any, names: Iterable[str] | None = None
    ) -> None:
        super().__init__(MeanLoss(model, loss, batches, names))

    def _of_batch(self, x: Any, y: Any) -> Product:
        outputs = output_tensor(self.mean.model(x))
        metric = loss_metric(outputs, lambda z: self.mean.loss(z, y))
        return sandwich_product(outputs, self.mean.parameters, metric)

    @staticmethod
    def of_outputs(outputs: Tensor, loss_of: Callable[[Tensor], Tensor], params: Sequence[Tensor]) -> LinearOperator:
        """Of outputs with their graph and the scalar loss as a function of them; many products share one graph."""
        product = sandwich_product(output_tensor(outputs), params, loss_metric(outputs, loss_of))
        return GraphOperator(params, lambda: product)

    @staticmethod
    def of_closure(closure: HasOutputs, params: Sequence[Tensor]) -> LinearOperator:
        """Of one batch: ``closure.outputs()`` is evaluated once, here."""
        with torch.enable_grad():
            return GaussNewton.of_outputs(*closure.outputs(), params)


def output_tensor(outputs: Any) -> Tensor:
    """The outputs themselves, if they are one tensor."""
    if not isinstance(outputs, Tensor):
        raise InputError(
            f"curvature: the model returns a {type(outputs).__name__}.",
            "Gauss–Newton and Fisher need one tensor: wrap the model so that it returns what the loss reads.",
        )
    return outputs
