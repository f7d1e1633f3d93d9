"""Sharpness-aware minimization (SAM): the gradient at the worst point nearby.

    e = ρ T² g/‖T g‖,     T = 1, or |x| by coordinate (adaptive),   ‖·‖ over all parameters together
    g̃ = ∇f(x + e)
    b ← β b + g̃ + λ x,    x ← x − η b

The linear model of f over the ball ‖T⁻¹ e‖ ≤ ρ is largest at e. Two passes a step, hence a closure; both see the same
batch. The weights are put back bit for bit, also where the second pass fails. Layers with running moments
(batch norm) see the batch twice, once at x + e: with a momentum of their own that is a known small impurity. With a
loss that is not finite ``e`` is not finite either, and so is the step: the engine watches the loss.

Memory: 1 number a parameter, and 1 more inside the step. Cost: two gradients, O(n).
Source: Foret et al. 2021, Algorithm 1, arXiv:2010.01412; Kwon et al. 2021 (adaptive), arXiv:2102.11600; in no deck.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule, need_closure, with_gradient

SMALLEST = 1e-12
"""Added to ‖T g‖, as in the authors' code: at an exact stationary point the step is zero, not 0/0."""


class SAM(GradientRule):
    """Sharpness-aware SGD with momentum.

    Args:
        params: parameters or groups.
        lr: η; 0.1, the authors' for CIFAR.
        momentum: β; 0.9.
        rho: ρ of all groups, in the norm of all parameters; 0.05, the paper's. Adaptive SAM wants about 10× more.
        adaptive: T = |x|, so that rescaling the weights does not change what "nearby" means.
        weight_decay: λ, coupled; not part of the sharpness.
        maximize: climb instead.
    """

    slots = ("momentum",)
    needs: ClassVar[frozenset[str]] = frozenset({"closure"})

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        momentum: float = 0.9,
        *,
        rho: float = 0.05,
        adaptive: bool = False,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "rho": rho,
                "adaptive": adaptive,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss at x, before the move.

        Raises:
            RuntimeError: without a closure, or if a gradient is sparse.
        """
        need_closure(self, closure)
        assert closure is not None
        with torch.enable_grad():
            loss = closure()
        moved = self._climb()
        try:
            with torch.enable_grad():
                closure()
        finally:
            for p, before in moved:
                p.copy_(before)
        self.move()
        return loss

    def _climb(self) -> list[tuple[Tensor, Tensor]]:
        """Move to x + e; returns the parameters with their values before."""
        scaled = []
        for group in self.param_groups:
            sign = -1.0 if group["maximize"] else 1.0
            for p in with_gradient(self, group["params"]):
                assert p.grad is not None
                scale = p.abs() if group["adaptive"] else None
                scaled.append((p, p.grad if scale is None else scale * p.grad, scale, sign * group["rho"]))
        if not scaled:
            return []
        norms = [torch.linalg.vector_norm(direction).to(scaled[0][0].device) for _, direction, _, _ in scaled]
        length = torch.linalg.vector_norm(torch.stack([norm.to(norms[0].dtype) for norm in norms])) + SMALLEST
        moved = []
        for p, direction, scale, rho in scaled:
            moved.append((p, p.clone(memory_format=torch.preserve_format)))
            e = direction * (rho / length).to(p.device, p.dtype)
            p.add_(e if scale is None else e.mul_(scale))
        return moved

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (b,) = slots
        torch._foreach_mul_(b, group["momentum"])
        torch._foreach_add_(b, g)
        if group["weight_decay"]:
            torch._foreach_add_(b, x, alpha=group["weight_decay"])
        torch._foreach_add_(x, b, alpha=-group["lr"])
