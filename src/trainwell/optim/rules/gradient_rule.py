"""What the first-order rules of this room share: gathering tensors, counting steps, refusing what a rule cannot take.

A rule is one :meth:`GradientRule.update` over *lists* of tensors of one device and type, in ``torch._foreach_*``
operations: one kernel for many tensors on a GPU. On a CPU these run tensor after tensor, so the lists are cut into
chunks of at most ``CHUNK`` numbers: parameter, gradient and state stay in the cache from one operation to the next.
Rules act on each tensor by itself, and so the cuts change no bit.

State: tensors of the parameter's shape, type and strides (``slots``; bfloat16 stays bfloat16, as in torch's own), and
plain numbers per parameter (``numbers``): a parameter that is thawed late, or had no gradient for some steps, counts
its own steps, and its bias corrections are right. Nothing waits for the device.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

CHUNK = 1 << 18


class GradientRule(Optimizer):
    """Base of the optimizers whose step is a function of gradients and their own state.

    A rule sets ``slots`` and ``numbers`` and writes :meth:`update`. Weight decay, where it has one, is its own.

    Raises:
        ValueError: for complex parameters, on which squares and signs of gradients mean something else.
    """

    slots: ClassVar[tuple[str, ...]] = ()
    numbers: ClassVar[Mapping[str, float]] = {"step": 0}
    needs: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        check_ranges(type(self).__name__, defaults)
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; what it does not set is taken from the constructor's arguments."""
        super().add_param_group(param_group)
        if any(p.is_complex() for p in self.param_groups[-1]["params"]):
            self.param_groups.pop()
            raise ValueError(f"{type(self).__name__}: a parameter is complex. Train torch.view_as_real of it.")

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        """Move ``x`` and ``slots`` in place along one step; ``g`` belongs to the caller and stays as it is.

        Args:
            group: whose options hold.
            numbers: of these parameters, after :meth:`advance`.
            x, g: parameters and gradients (negated where ``maximize`` is set).
            slots: one list for each name in ``slots``.
        """
        raise NotImplementedError

    def advance(self, group: dict[str, Any], numbers: dict[str, float]) -> None:
        """Change the numbers of parameters that are about to make a step."""
        numbers["step"] += 1

    def initial(self, group: dict[str, Any], slot: str, parameter: Tensor) -> Tensor:
        """The slot's tensor before the parameter's first step: zeros."""
        return torch.zeros_like(parameter, memory_format=torch.preserve_format)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; with a closure it fills the gradients first, and its loss is returned.

        Raises:
            RuntimeError: if a gradient is sparse; no parameter has moved then.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        self.move()
        return loss

    def move(self) -> None:
        """The step itself, from the gradients that lie in ``.grad``."""
        work = [(group, self._alike(group)) for group in self.param_groups]
        for group, buckets in work:
            for members in buckets:
                numbers = {name: self.state[members[0]][name] for name in self.numbers}
                self.advance(group, numbers)
                for x in _chunks(members):
                    g: list[Tensor] = [p.grad for p in x]  # type: ignore[misc]
                    if group.get("maximize"):
                        g = list(torch._foreach_neg(g))
                    self.update(group, numbers, x, g, *([self.state[p][slot] for p in x] for slot in self.slots))
                for p in members:
                    self.state[p].update(numbers)

    def _alike(self, group: dict[str, Any]) -> list[list[Tensor]]:
        """The group's parameters that have gradients, by device, type and numbers; their state made where missing."""
        buckets: dict[tuple[Any, ...], list[Tensor]] = {}
        for p in with_gradient(self, group["params"]):
            state = self.state[p]
            if not state:
                state.update(self.numbers)
                state.update({slot: self.initial(group, slot, p) for slot in self.slots})
            key = (p.device, p.dtype, *(state[name] for name in self.numbers))
            buckets.setdefault(key, []).append(p)
        return list(buckets.values())


def _chunks(tensors: list[Tensor]) -> Iterator[list[Tensor]]:
    if tensors[0].device.type != "cpu":
        yield tensors
        return
    chunk: list[Tensor] = []
    size = 0
    for tensor in tensors:
        if chunk and size + tensor.numel() > CHUNK:
            yield chunk
            chunk, size = [], 0
        chunk.append(tensor)
        size += tensor.numel()
    yield chunk


def with_gradient(optimizer: Optimizer, parameters: Iterable[Tensor]) -> list[Tensor]:
    """The parameters that have a gradient.

    Raises:
        RuntimeError: if a gradient is sparse.
    """
    found = [p for p in parameters if p.grad is not None]
    if any(p.grad.layout != torch.strided for p in found if p.grad is not None):
        raise RuntimeError(
            f"{type(optimizer).__name__} takes no sparse gradients. Use nn.Embedding(sparse=False), or sgd, adagrad "
            "or sparse_adam."
        )
    return found


def need_closure(optimizer: Optimizer, closure: Any) -> None:
    """Raise a RuntimeError where no closure was given."""
    if closure is None:
        raise RuntimeError(
            f"{type(optimizer).__name__} evaluates the loss more than once a step: call step(closure), where closure() "
            "clears the gradients, computes the loss, goes backward and returns it."
        )


def check_ranges(owner: str, options: Mapping[str, Any]) -> None:
    """Raise a ValueError for a rate, decay, ε or radius below 0, or a momentum or β outside [0, 1)."""
    for name, value in options.items():
        if name in ("lr", "eps", "weight_decay", "rho", "radius", "threshold", "trust", "damping") and not value >= 0:
            raise ValueError(f"{owner}: {name}={value} must be 0 or more.")
        if name in ("momentum", "beta", "betas", "alpha"):
            for share in value if isinstance(value, tuple | list) else [value]:
                if not 0 <= share < 1:
                    raise ValueError(f"{owner}: {name}={value} must lie in [0, 1).")
