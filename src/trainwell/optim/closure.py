"""What a method may ask of the batch at hand, beyond the gradients that lie in ``p.grad``.

Torch's convention is a function that clears the gradients, computes the loss and goes backward; line searches call it
again after a move. Second-order methods need the graph of the loss, or the outputs and the loss as a function of them
(Gauss–Newton, Fisher). A :class:`Closure` gives all three, and is itself such a function.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn


class Closure:
    """The loss of one batch: ``closure()`` as torch's optimizers call it, ``loss()`` and ``outputs()`` with a graph.

    Args:
        parameters: whose gradients are cleared and filled.
        forward: ``() -> (outputs, loss_of)``: the model's outputs with their graph, and the scalar loss as a function
            of outputs.

    Example:
        >>> net, x, y = nn.Linear(2, 1), torch.ones(4, 2), torch.zeros(4, 1)
        >>> closure = Closure.of(net, nn.MSELoss(), x, y)
        >>> bool(closure() == closure.loss()), net.weight.grad.shape
        (True, torch.Size([1, 2]))
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], forward: Callable[[], tuple[Tensor, Callable[[Tensor], Tensor]]]
    ) -> None:
        self._parameters = list(parameters)
        self._forward = forward

    @classmethod
    def of(cls, model: nn.Module, loss: Callable[[Tensor, Any], Tensor], x: Any, y: Any) -> "Closure":
        """The closure of ``loss(model(x), y)``."""
        return cls(model.parameters(), lambda: (model(x), lambda output: loss(output, y)))

    def __call__(self) -> Tensor:
        """Clear the gradients, fill them and return the detached loss."""
        with torch.enable_grad():
            for parameter in self._parameters:
                parameter.grad = None
            loss = self.loss()
            loss.backward()
        return loss.detach()

    def loss(self) -> Tensor:
        """The scalar loss; its graph hangs on it where gradients are enabled."""
        outputs, loss_of = self._forward()
        return loss_of(outputs)

    def outputs(self) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """The model's outputs, and the scalar loss as a function of outputs."""
        return self._forward()
