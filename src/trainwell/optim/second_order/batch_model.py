"""The quadratic model of one batch's loss around the parameters: m(p) = L + gᵀp + ½ pᵀ B p, B by products alone.

B is the Hessian, or the generalized Gauss–Newton matrix (positive semi-definite for usual losses), plus λ I. One
forward graph gives L, g and all products; it is kept until the model is dropped.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.flat import flatten
from trainwell.curvature.ggn import GaussNewton
from trainwell.curvature.second_derivatives import Hessian
from trainwell.optim.second_order.guarded import graph_gradient

CURVATURES = ("ggn", "hessian")


class BatchModel:
    """m at the current parameters.

    Args:
        closure: a :class:`~trainwell.optim.closure.Closure`.
        params: the parameters, whose ``.grad`` is filled.
        curvature: "ggn" or "hessian".

    Attributes:
        loss: detached.
        gradient: g, flat (n,).
        evaluate: () -> the batch's loss without a graph, for trial points.
    """

    def __init__(self, closure: Any, params: list[Tensor], curvature: str) -> None:
        with torch.enable_grad():
            outputs, loss_of = closure.outputs()
            loss = loss_of(outputs)
            self.gradient = flatten(graph_gradient(loss, params)).detach()
            if curvature == "ggn":
                self._operator = GaussNewton.of_outputs(outputs, loss_of, params)
            else:
                self._operator = Hessian.of_loss(loss, params)
        self.loss = loss.detach()

        def evaluate() -> float:
            with torch.no_grad():
                again, again_of = closure.outputs()
                return float(again_of(again))

        self.evaluate: Callable[[], float] = evaluate

    def product(self, damping: float) -> Callable[[Tensor], Tensor]:
        """v ↦ (B + λ I) v."""
        return lambda v: self._operator @ v + damping * v

    def decrease(self, p: Tensor, damping: float = 0.0) -> float:
        """m(0) − m(p)."""
        return -float(self.gradient @ p) - 0.5 * float(p @ self.product(damping)(p))
