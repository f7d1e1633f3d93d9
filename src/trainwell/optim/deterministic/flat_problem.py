"""A function of one flat vector, with its gradient, Hessian-vector products, Hessian, residuals and Jacobian.

What :func:`~trainwell.optim.minimize` and the full-batch optimizers see of a loss: all parameters stand one after the
other in x of shape (n,), and every derivative is autograd's. A Hessian-vector product H v is the gradient of gᵀv
(Pearlmutter 1994) and costs about two gradients; it keeps the graph of one gradient.
"""

import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Product = Callable[[Tensor], Tensor]
Structure = Tensor | Sequence[Tensor]


@dataclass(frozen=True)
class Point:
    """A point x (n,), its loss and its gradient (n,)."""

    x: Tensor
    fun: float
    gradient: Tensor

    def finite(self) -> bool:
        """Are the loss and every entry of the gradient finite?"""
        return math.isfinite(self.fun) and bool(torch.isfinite(self.gradient).all())


@dataclass
class Evaluations:
    """How often what was computed: losses, gradients, Hessian-vector products, Hessians, Jacobians of residuals."""

    fun: int = 0
    grad: int = 0
    hvp: int = 0
    hess: int = 0
    jac: int = 0


class Stalled(Exception):
    """A rule could not take a step; its one sentence says why. The point before it stays."""


class Settled(Stalled):
    """A rule finds that nothing is left to gain: the point before it is a minimum to rounding."""


class Problem:
    """A loss of a flat vector; subclasses say how its graph comes about.

    Attributes:
        counts: what was computed so far.
    """

    def __init__(self) -> None:
        self.counts = Evaluations()
        self._kept: tuple[Tensor, Tensor, list[Tensor]] | None = None

    def graph(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The scalar loss at x with its graph, and the leaves whose gradients, flattened, make up the gradient."""
        raise NotImplementedError

    def point(self, x: Tensor) -> Point:
        """Loss and gradient at x."""
        self.counts.fun += 1
        self.counts.grad += 1
        with torch.enable_grad():
            loss, leaves = self.graph(x)
            gradient = flat(torch.autograd.grad(loss, leaves, allow_unused=True), leaves)
        return Point(x, float(loss.detach()), gradient.to(x.dtype))

    def _gradient_with_graph(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self._kept is None or self._kept[0] is not x:
            self.counts.fun += 1
            self.counts.grad += 1
            with torch.enable_grad():
                loss, leaves = self.graph(x)
                found = torch.autograd.grad(loss, leaves, create_graph=True, allow_unused=True)
                self._kept = x, flat(found, leaves), leaves
        return self._kept[1], self._kept[2]

    def product(self, x: Tensor) -> Product:
        """v → H(x) v; valid until the loss is evaluated elsewhere."""
        gradient, leaves = self._gradient_with_graph(x)

        def times(v: Tensor) -> Tensor:
            self.counts.hvp += 1
            if not gradient.requires_grad:
                return torch.zeros_like(v)
            found = torch.autograd.grad(
                gradient, leaves, v.to(gradient.dtype), retain_graph=True, allow_unused=True, materialize_grads=True
            )
            return flat(found, leaves).to(v.dtype)

        return times

    def hessian(self, x: Tensor) -> Tensor:
        """H(x), shape (n, n), made symmetric; n products at once."""
        gradient, leaves = self._gradient_with_graph(x)
        self.counts.hess += 1
        if not gradient.requires_grad:
            return x.new_zeros(len(x), len(x))
        found = batched_rows(gradient, leaves)
        return 0.5 * (found + found.T)

    def gauss_newton(self, x: Tensor) -> Product:
        """v → G(x) v; valid until the loss is evaluated elsewhere."""
        raise NotImplementedError

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Residuals r(x) (m,) and their Jacobian (m, n)."""
        raise NotImplementedError


def flat(found: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    """Gradients one after the other, zeros where there is none."""
    return torch.cat([torch.zeros_like(p).reshape(-1) if g is None else g.reshape(-1)
                      for g, p in zip(found, like, strict=True)])  # fmt: skip


def batched_rows(values: Tensor, leaves: list[Tensor]) -> Tensor:
    """Jacobian (m, n) of ``values`` (m,): all rows in one batched backward, one by one where an operation has none."""
    seeds = torch.eye(len(values), dtype=values.dtype, device=values.device)
    arguments: dict[str, Any] = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
    try:
        found = torch.autograd.grad(values, leaves, seeds, is_grads_batched=True, **arguments)
        return torch.cat([g.reshape(len(values), -1) for g in found], 1)
    except RuntimeError:
        return torch.stack([flat(torch.autograd.grad(values, leaves, seed, **arguments), leaves) for seed in seeds])


class FunctionProblem(Problem):
    """``fun(x)`` of a tensor or a list of tensors, or ``fun()`` that reads parameters, which are then moved in place.

    Args:
        fun: gives a scalar, or residuals where ``residuals`` is set: then the loss is ½ Σ r².
        params: where to start; in ``fun()``'s case the leaf tensors that it reads.
        residuals: does ``fun`` return residuals?

    Attributes:
        start: the flat x of ``params`` (a copy), shape (n,).
        best: the last good point; whoever moves on sets it.

    Raises:
        ValueError: for no parameters, parameters of mixed type or device, or ones that take no gradient.
    """

    def __init__(self, fun: Callable[..., Tensor], params: Structure, residuals: bool = False) -> None:
        super().__init__()
        self.fun, self.residuals = fun, residuals
        self.single = isinstance(params, Tensor)
        self.tensors: list[Tensor] = [params] if isinstance(params, Tensor) else list(params)
        self.in_place = takes_nothing(fun)
        check_parameters(self.tensors)
        if self.in_place and not all(p.requires_grad and p.is_leaf for p in self.tensors):
            raise ValueError("minimize: fun() takes no argument, but params holds tensors that take no gradient. Give "
                             "leaf tensors with requires_grad=True, or a function of x.")  # fmt: skip
        self.start = torch.cat([p.detach().reshape(-1) for p in self.tensors])
        self.best = self.start

    def shaped(self, x: Tensor) -> Any:
        """x in the shapes of ``params``: a tensor, or a list of them."""
        parts = [part.reshape(p.shape) for part, p in
                 zip(x.split([p.numel() for p in self.tensors]), self.tensors, strict=True)]  # fmt: skip
        return parts[0] if self.single else parts

    @torch.no_grad()
    def write(self, x: Tensor) -> None:
        """Move ``params`` to x."""
        self._kept = None
        for p, part in zip(self.tensors, x.split([p.numel() for p in self.tensors]), strict=True):
            p.copy_(part.reshape(p.shape))

    def _output(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        if self.in_place:
            self.write(x)
            output, leaves = self.fun(), self.tensors
        else:
            leaf = x.detach().clone().requires_grad_()
            output, leaves = self.fun(self.shaped(leaf)), [leaf]
        if not isinstance(output, Tensor):
            raise ValueError(f"minimize: fun gave a {type(output).__name__}, which autograd cannot differentiate. "
                             "Compute it with torch from x and return the tensor.")  # fmt: skip
        if not output.requires_grad:
            raise ValueError("minimize: fun's value has no gradient: it does not depend on x through torch operations. "
                             "Leave out .detach(), .item(), no_grad and NumPy.")  # fmt: skip
        return output, leaves

    def graph(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        output, leaves = self._output(x)
        if self.residuals:
            return 0.5 * output.square().sum(), leaves
        if output.numel() != 1:
            raise ValueError(f"minimize: fun gave shape {tuple(output.shape)}, not one number. Return a scalar, or use "
                             "method='lm' or 'gauss_newton' for residuals.")  # fmt: skip
        return output.reshape(()), leaves

    def residual(self, x: Tensor) -> Tensor:
        """r(x), shape (m,), without its graph."""
        return self._output(x)[0].detach().reshape(-1)

    def jacobian(self, x: Tensor) -> tuple[Tensor, Tensor]:
        self.counts.jac += 1
        with torch.enable_grad():
            output, leaves = self._output(x)
            residuals = output.reshape(-1)
            return residuals.detach(), batched_rows(residuals, leaves)


def takes_nothing(fun: Callable[..., Any]) -> bool:
    """Has the function no positional parameter?"""
    try:
        parameters = inspect.signature(fun).parameters.values()
    except (TypeError, ValueError):  # builtins without a signature take x
        return False
    return not any(p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD, p.VAR_POSITIONAL) for p in parameters)


def check_parameters(tensors: Sequence[Tensor]) -> None:
    """Raise ValueError unless there are parameters, all floating, of one type and device."""
    if not tensors or not all(isinstance(p, Tensor) for p in tensors):
        raise ValueError("minimize: params must be a tensor or a list of tensors, at least one.")
    kinds = {(p.dtype, p.device) for p in tensors}
    if len(kinds) > 1 or not tensors[0].is_floating_point():
        found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(f"minimize: params are {found}. Give floating tensors of one type on one device.")
