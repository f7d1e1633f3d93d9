"""Many independent nets of one shape trained at once by plain SGD, each with its own start, order of samples and rate.

One pass of ``torch.func.vmap`` over the stacked parameters replaces a loop over the nets: the numbers are the same, and
small nets cost a fraction of the time. A net that diverges disturbs no other.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, stack_module_state, vmap
from torch.nn.functional import cross_entropy

Values = dict[str, Tensor]


def best_rate(losses: Tensor, rates: int, last: int) -> int:
    """Which of the rates ends with the lowest training loss, mean over its nets; where one diverged, with none.

    Args:
        losses: of the batches, shape (steps, rates · nets), the nets of one rate side by side.
        rates: how many there are.
        last: steps whose mean counts.
    """
    ends = losses[-last:].mean(0).nan_to_num(nan=torch.inf)
    return int(ends.unflatten(0, (rates, -1)).mean(1).argmin())


class ManyNets:
    """Nets of equal structure, stacked.

    Args:
        nets: the modules, which stay as they are; what requires a gradient is trained.
    """

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        self.count = len(nets)
        self.skeleton = copy.deepcopy(nets[0])
        parameters, buffers = stack_module_state(list(nets))
        self.parameters: Values = {name: p.detach().clone() for name, p in parameters.items()}
        self.buffers: Values = {name: b.detach().clone() for name, b in buffers.items()}
        self.trained = [name for name, p in nets[0].named_parameters() if p.requires_grad]

    def __call__(self, X: Tensor, *, own: bool = False) -> Tensor:
        """Outputs in evaluation mode, shape (nets, n, …).

        Args:
            X: the inputs of all nets, or with ``own`` of each, shape (nets, n, …).
            own: each net has inputs of its own.
        """
        self.skeleton.eval()
        with torch.no_grad():
            run = vmap(self._run, in_dims=(0, 0, 0 if own else None), randomness="different")
            return run(self.parameters, self.buffers, X)

    def _run(self, parameters: Values, buffers: Values, X: Tensor) -> Tensor:
        output: Tensor = functional_call(self.skeleton, (parameters, buffers), (X,))
        return output

    def accuracies(self, X: Tensor, y: Tensor, *, batch: int = 250) -> Tensor:
        """Share of right classes in evaluation mode, shape (nets,); outputs that are not finite are wrong."""
        right = torch.zeros(self.count)
        for inputs, target in zip(X.split(batch), y.split(batch), strict=True):
            output = self(inputs)
            right += ((output.argmax(2) == target) & output.isfinite().all(2)).sum(1)
        return right / len(X)

    def descend(
        self,
        X: Tensor,
        y: Tensor,
        *,
        rates: Tensor | float,
        steps: int,
        batch: int,
        generator: torch.Generator,
        counted: int | None = None,
        momentum: float = 0.0,
        loss: Callable[[Tensor, Tensor], Tensor] = cross_entropy,
        watch: Callable[["ManyNets"], None] | None = None,
    ) -> Tensor:
        """Train in place, with batches drawn without replacement within each pass over the data.

        Args:
            X: inputs, first axis the samples.
            y: targets.
            rates: of each net, shape (nets,), or of all.
            steps: batches.
            batch: samples of each.
            generator: of the nets' orders of samples.
            counted: only so many samples of each batch are in the loss (the rest are in the statistics); all, if None.
            momentum: torch's form.
            loss: of (output, target), a mean over the batch.
            watch: called after every step.

        Returns:
            Losses of the batches, shape (steps, nets).
        """
        self.skeleton.train()
        rate = torch.as_tensor(rates, dtype=torch.float32).expand(self.count)
        used = counted or batch

        def value(trained: Values, fixed: Values, buffers: Values, inputs: Tensor, targets: Tensor) -> Tensor:
            return loss(self._run(trained | fixed, buffers, inputs)[:used], targets[:used])

        slopes = vmap(grad_and_value(value), randomness="different")
        fixed = {name: p for name, p in self.parameters.items() if name not in self.trained}
        buffer: Values = {}
        losses = torch.empty(steps, self.count)
        for step, rows in zip(range(steps), self._orders(len(X), batch, used, generator), strict=False):
            trained = {name: self.parameters[name] for name in self.trained}
            gradients, losses[step] = slopes(trained, fixed, self.buffers, X[rows], y[rows])
            for name, gradient in gradients.items():
                if momentum:
                    buffer[name] = gradient = gradient + momentum * buffer[name] if name in buffer else gradient
                self.parameters[name] -= rate.view(-1, *[1] * (gradient.dim() - 1)) * gradient
            if watch is not None:
                watch(self)
                self.skeleton.train()
        return losses

    def _orders(self, n: int, batch: int, used: int, generator: torch.Generator) -> Any:
        """Rows of the nets' batches without end, shape (nets, batch): ``used`` new ones, the rest from the others."""
        while True:
            orders = torch.rand(self.count, n, generator=generator).argsort(1)
            for start in range(0, n - used + 1, used):
                rows = orders[:, start : start + used]
                if batch > used:
                    others = torch.cat([orders[:, :start], orders[:, start + used :]], 1)
                    place = torch.rand(others.shape, generator=generator).topk(batch - used, 1).indices
                    rows = torch.cat([rows, others.gather(1, place)], 1)
                yield rows
