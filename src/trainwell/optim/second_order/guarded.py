"""What the stochastic second-order methods share: a guard against losses that are not finite, and state kept as it is.

A step reads the loss at the point where it stands. If that, or the gradient, is not finite, the last step was a bad
one: the parameters go back to the point before it (a copy of them, 1 number a parameter, not part of ``state_dict``),
and :class:`NonFiniteStep` says so. ``load_state_dict`` keeps the type of every tensor of the state: factors of a
bfloat16 layer are float32, and stay so.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.optim.closure import Closure
from trainwell.optim.rules.gradient_rule import check_ranges, need_closure, with_gradient


class NonFiniteStep(RuntimeError):
    """A loss or a gradient is not finite; the parameters stand at the last good point.

    Attributes:
        value: the loss that was found.
    """

    def __init__(self, message: str, value: float) -> None:
        super().__init__(message)
        self.value = value


class GuardedOptimizer(Optimizer):
    """Base: ranges checked, state's types kept, parameters put back.

    Raises:
        ValueError: for an option out of range, or complex parameters.
    """

    needs: frozenset[str] = frozenset()
    asks: str = ""  # "loss" or "outputs": what of a Closure the step reads

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        check_ranges(type(self).__name__, defaults)
        super().__init__(params, defaults)
        self._good: list[tuple[Tensor, Tensor]] = []

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; what it does not set is taken from the constructor's arguments."""
        super().add_param_group(param_group)
        if any(p.is_complex() for p in self.param_groups[-1]["params"]):
            self.param_groups.pop()
            raise ValueError(f"{type(self).__name__}: a parameter is complex. Train torch.view_as_real of it.")

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore groups and state, each tensor in the type it was saved with, on its parameter's device."""
        super().load_state_dict(state_dict)
        ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        for i, p in zip(ids, self.members(trainable=False), strict=True):
            saved: Mapping[str, Any] = state_dict["state"].get(i, {})
            for name, value in saved.items():
                if isinstance(value, Tensor):
                    self.state[p][name] = value.detach().to(p.device, copy=True)
        self._good = []

    def members(self, trainable: bool = True) -> list[Tensor]:
        """All parameters, in the order of the groups; the frozen ones left out."""
        return [p for group in self.param_groups for p in group["params"] if p.requires_grad or not trainable]

    def closure_with(self, closure: Any) -> Closure:
        """The closure, if it gives what the method asks for.

        Raises:
            RuntimeError: if there is none, or one that only fills gradients.
        """
        need_closure(self, closure)
        if self.asks and not hasattr(closure, self.asks):
            raise RuntimeError(
                f"{type(self).__name__} needs closure.{self.asks}(), with a graph: give step() a "
                "trainwell.optim.Closure, e.g. Closure.of(model, loss, x, y)."
            )
        checked: Closure = closure
        return checked

    def filled(self, closure: Callable[[], Any]) -> Tensor:
        """Fill the gradients and return the loss; both are finite, and the parameters are noted as good.

        Raises:
            NonFiniteStep: if they are not finite.
            RuntimeError: for sparse gradients.
        """
        with torch.enable_grad():
            loss = closure()
        self.check(loss, [p.grad for p in with_gradient(self, self.members()) if p.grad is not None])
        return loss

    def check(self, loss: Tensor, gradients: Sequence[Tensor] = ()) -> None:
        """Note the parameters as the last good point, or put the last one back and raise :class:`NonFiniteStep`."""
        value = float(loss)
        norm = float(total_norm(gradients))
        if math.isfinite(value) and math.isfinite(norm):
            self._good = [(p, p.detach().clone(memory_format=torch.preserve_format)) for p in self.members()]
            return
        moved = self.put_back()
        raise NonFiniteStep(
            f"{type(self).__name__}: the loss is {value:.4g} and the gradient's norm {norm:.4g}; "
            f"{'the last step was taken back' if moved else 'no step was taken'}. "
            f"Use a rate below {self.param_groups[0]['lr']:.3g} or more damping, or look at this batch.",
            value,
        )

    @torch.no_grad()
    def put_back(self) -> bool:
        """Return the parameters to the last good point; was one known?"""
        for p, good in self._good:
            p.copy_(good)
        return bool(self._good)

    def of_all(self, owner: Tensor) -> dict[str, Any]:
        """The state of the method as a whole, which lies with the first parameter."""
        state: dict[str, Any] = self.state[owner]
        return state


def total_norm(tensors: Sequence[Tensor]) -> Tensor:
    """Euclidean norm of all entries together, in float32 or better; 0 of none."""
    if not tensors:
        return torch.zeros(())
    wide = [torch.promote_types(t.dtype, torch.float32) for t in tensors]
    norms = [torch.linalg.vector_norm(t, dtype=dtype) for t, dtype in zip(tensors, wide, strict=True)]
    return torch.linalg.vector_norm(torch.stack([norm.to(norms[0]) for norm in norms]))


def graph_gradient(loss: Tensor, params: Sequence[Tensor]) -> list[Tensor]:
    """∂loss/∂params, zeros where there is no path; the graph is kept, and ``.grad`` filled."""
    found = torch.autograd.grad(loss, params, retain_graph=True, allow_unused=True)
    gradients = [torch.zeros_like(p) if g is None else g for p, g in zip(params, found, strict=True)]
    for p, g in zip(params, gradients, strict=True):
        p.grad = g.detach()
    return gradients


def one_kind(optimizer: Optimizer, params: Sequence[Tensor]) -> None:
    """Raise a ValueError unless all parameters share one device and floating type, and all groups one rate."""
    kinds = {(str(p.dtype), str(p.device)) for p in params}
    if len(kinds) > 1:
        found = ", ".join(sorted(f"{dtype} on {device}" for dtype, device in kinds))
        raise ValueError(f"{type(optimizer).__name__} treats all parameters as one vector; these are {found}. "
                         "Give parameters of one type on one device.")  # fmt: skip
