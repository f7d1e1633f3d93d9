"""The loss of a closure as a function of one flat vector of moves from where the parameters stand.

    x = x₀ + S u,    S = diag(lr of the group / largest lr),    ∂/∂u = S ∂/∂x

A group with a smaller rate is measured in a longer unit and moves less; one with rate 0 stays. Every evaluation of a
step starts from the same state of the random generators, so that dropout draws the same masks: within a step the
closure is a deterministic function. Parameters below float32 are moved in float32 and rounded when written.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainwell.curvature.flat import flatten, unflatten
from trainwell.curvature.products import Product as ListProduct
from trainwell.curvature.products import hessian_product, loss_metric, sandwich_product
from trainwell.curvature.weight_norm_kernel import unfused
from trainwell.optim.closure import Closure
from trainwell.optim.deterministic.flat_problem import Point, Problem, Product


class ClosureProblem(Problem):
    """One batch's loss around the present parameters.

    Args:
        closure: gives the loss; with a graph where products are asked for.
        params: of one type and device.
        scales: of each parameter, in [0, 1].
    """

    def __init__(self, closure: Closure, params: Sequence[Tensor], scales: Sequence[float]) -> None:
        super().__init__()
        self.closure, self.params = closure, list(params)
        self.shapes = [p.shape for p in params]
        self.kept = [p.detach().clone(memory_format=torch.preserve_format) for p in params]
        dtype = torch.promote_types(params[0].dtype, torch.float32)
        self.base = flatten([p.detach().to(dtype) for p in params])
        self.scale = torch.cat([self.base.new_full((p.numel(),), s) for p, s in zip(params, scales, strict=True)])
        self.zero = torch.zeros_like(self.base)
        self._device = params[0].device
        self._random = self._after = self._random_state()

    def _random_state(self) -> list[Tensor]:
        on_cuda = self._device.type == "cuda"
        return [torch.get_rng_state(), *([torch.cuda.get_rng_state(self._device)] if on_cuda else [])]

    def _set_random(self, states: list[Tensor]) -> None:
        torch.set_rng_state(states[0])
        if len(states) > 1:
            torch.cuda.set_rng_state(states[1], self._device)

    def leave(self) -> None:
        """Leave the generators as one evaluation does, so that the next step draws other masks."""
        self._set_random(self._after)

    @torch.no_grad()
    def write(self, u: Tensor) -> None:
        """Move the parameters to x₀ + S u, and the generators to their state at the start of the step."""
        self._set_random(self._random)
        if u is self.zero:
            return self.restore()
        for p, moved in zip(self.params, unflatten(self.base + self.scale * u, self.shapes), strict=True):
            p.copy_(moved)

    @torch.no_grad()
    def restore(self) -> None:
        """Put the parameters back to x₀, bit for bit."""
        for p, kept in zip(self.params, self.kept, strict=True):
            p.copy_(kept)

    def first(self, loss: Tensor) -> Point:
        """u = 0, whose loss and gradients (in ``.grad``) the closure has just given, once."""
        self._after = self._random_state()
        return self._read(loss)

    def _read(self, loss: Tensor) -> Point:
        self.counts.fun += 1
        self.counts.grad += 1
        found = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.params]
        return Point(self.zero, float(loss), flatten([g.to(self.base.dtype) for g in found]) * self.scale)

    def point(self, x: Tensor) -> Point:
        self.write(x)
        with torch.enable_grad():
            loss = self.closure()
        found = self._read(loss)
        return Point(x, found.fun, found.gradient)

    def _scaled(self, product: ListProduct) -> Product:
        dtype = self.params[0].dtype

        def times(v: Tensor) -> Tensor:
            self.counts.hvp += 1
            parts = unflatten((self.scale * v).to(dtype), self.shapes)
            return flatten([part.to(v.dtype) for part in product(parts)]) * self.scale

        return times

    def product(self, x: Tensor) -> Product:
        self.write(x)
        with torch.enable_grad(), unfused():
            return self._scaled(hessian_product(self.closure.loss(), self.params))

    def gauss_newton(self, x: Tensor) -> Product:
        self.write(x)
        with torch.enable_grad(), unfused():
            outputs, loss_of = self.closure.outputs()
            return self._scaled(sandwich_product(outputs, self.params, loss_metric(outputs, loss_of)))
