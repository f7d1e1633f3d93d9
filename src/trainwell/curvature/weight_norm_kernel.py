"""A wrong second derivative in PyTorch, and the way around it.

``torch.nn.utils.parametrizations.weight_norm`` computes w = g v/‖v‖ by a fused kernel whose derivative takes ‖v‖ as a
constant when it is differentiated once more (seen in torch 2.13): first derivatives are right, Jᵀ Λ J too, but H is
wrong in the block of v and not even symmetric. Inside :func:`unfused` the same w is made of plain operations.
"""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from trainwell.errors import InputError

KERNEL = "WeightNormInterfaceBackward0"


class unfused(TorchFunctionMode):
    """A context in which weight normalization is made of plain operations."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Iterable[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is torch._weight_norm:
            return _plain(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _plain(v: Tensor, g: Tensor, dim: int = 0) -> Tensor:
    return v * (g / torch.norm_except_dim(v, 2, dim))


@functools.cache
def fused_is_wrong() -> bool:
    """Is ∂²w/∂v² of the fused kernel another than that of plain operations?"""
    with torch.inference_mode(False), torch.enable_grad():
        found: list[Tensor] = []
        for norm in (torch._weight_norm, _plain):
            v = torch.tensor([[1.0, 2.0]], requires_grad=True)
            (first,) = torch.autograd.grad(norm(v, torch.ones(1, 1), 0)[0, 0], v, create_graph=True)
            (second,) = torch.autograd.grad(first[0, 0], v)
            found.append(second)
    return not torch.allclose(found[0], found[1], atol=1e-5)


def refuse_fused(output: Tensor) -> None:
    """Look through the graph of ``output`` for the kernel.

    Raises:
        InputError: if it is there, and wrong in this version of PyTorch.
    """
    seen: set[Any] = set()
    waiting = [output.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name() == KERNEL and fused_is_wrong():
            raise InputError(
                f"curvature: torch {torch.__version__} has a wrong second derivative of its fused weight_norm kernel.",
                "Compute the loss inside trainwell.curvature.unfused(), or use Hessian(model, loss, batches).",
            )
        waiting += [parent for parent, _ in node.next_functions]
