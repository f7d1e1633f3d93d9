"""SVRG: stochastic gradients whose variance goes to zero.

    anchor     x̃ ← x,   μ = (1/N) Σᵢ ∇fᵢ(x̃)                  a pass over all samples, every m steps
    step       x ← x − η (∇f_B(x) − ∇f_B(x̃) + μ + λ x)        two gradients of the same batch B

The step is unbiased, and its variance is that of ∇f_B(x) − ∇f_B(x̃): it vanishes as x and x̃ meet at the minimum, so a
constant rate converges linearly, where SGD stays at its noise floor (O02). It pays on convex problems of many similar
samples; on networks with dropout, augmentation or batch norm the two gradients differ by more than the batch
(Defazio & Bottou 2019, arXiv:1812.04529). The random state of both passes is the same, so dropout's masks agree.

How it is fed: before a step, where ``optimizer.due``, call ``optimizer.anchor(full)``, and ``full()`` clears the
gradients and fills them with those of the mean loss over all samples, in pieces if need be. ``.grad`` holds the
corrected gradient afterwards, without λ x.

Memory: 2 numbers a parameter, and 2 more inside the step. Cost: two gradients a step and N/B more every m steps.
Source: Johnson & Zhang 2013, "Accelerating Stochastic Gradient Descent using Predictive Variance Reduction",
Algorithm 1; in no deck.
"""

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule, need_closure, with_gradient


class SVRG(GradientRule):
    """Stochastic variance-reduced gradient.

    Args:
        params: parameters or groups.
        lr: η; 0.1/L in the paper's theorem, larger in practice.
        period: m, steps of an anchor; the paper's is 2N/B for convex problems and 5N/B for networks.
        weight_decay: λ, coupled.
        maximize: climb instead.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"closure", "full_gradient"})

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        period: int = 100,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if period < 1:
            raise ValueError(f"SVRG: period={period} must be 1 or more.")
        super().__init__(
            params, {"lr": lr, "period": period, "weight_decay": weight_decay, "maximize": maximize, "left": 0}
        )

    @property
    def due(self) -> bool:
        """Whether the next step wants a new anchor."""
        return self.param_groups[0]["left"] < 1

    @torch.no_grad()
    def anchor(self, full: Callable[[], Any]) -> Any:
        """Make the present parameters the anchor.

        Args:
            full: clears the gradients and fills them with those of all samples.

        Returns:
            What ``full`` returns, the loss of all samples.
        """
        with torch.enable_grad():
            loss = full()
        for group in self.param_groups:
            for p in with_gradient(self, group["params"]):
                assert p.grad is not None
                state = self.state[p]
                state["anchor"] = p.clone(memory_format=torch.preserve_format)
                state["full"] = p.grad.clone(memory_format=torch.preserve_format)
        self.param_groups[0]["left"] = self.param_groups[0]["period"]
        return loss

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the batch's loss at x, before the move.

        Raises:
            RuntimeError: without a closure or an anchor, or if a gradient is sparse.
        """
        need_closure(self, closure)
        assert closure is not None
        anchored = [p for group in self.param_groups for p in group["params"] if "anchor" in self.state[p]]
        if not anchored:
            raise RuntimeError(
                "SVRG has no anchor. Call optimizer.anchor(full), where full() fills the gradients of all samples."
            )
        before = self._at_anchor(closure, anchored)
        with torch.enable_grad():
            loss = closure()
        moved = [p for p in anchored if p.grad is not None]
        for p in moved:
            if p in before:
                p.grad.sub_(before[p])
            p.grad.add_(self.state[p]["full"])
        self.move()
        self.param_groups[0]["left"] -= 1
        return loss

    def _at_anchor(self, closure: Callable[[], Any], anchored: list[Tensor]) -> dict[Tensor, Tensor]:
        """The batch's gradients at the anchor; parameters and random state are left as they were."""
        held = [p.clone(memory_format=torch.preserve_format) for p in anchored]
        cards = sorted({p.device.index for p in anchored if p.device.type == "cuda"})
        try:
            with torch.random.fork_rng(devices=cards), torch.enable_grad():
                for p in anchored:
                    p.data.copy_(self.state[p]["anchor"])
                closure()
            for group in self.param_groups:
                with_gradient(self, group["params"])
            taken = {p: p.grad for p in anchored if p.grad is not None}
            for p in taken:
                p.grad = None  # the next backward pass makes a tensor of its own
            return taken
        finally:
            for p, value in zip(anchored, held, strict=True):
                p.copy_(value)

    def _alike(self, group: dict[str, Any]) -> list[list[Tensor]]:
        ready = [p for p in group["params"] if "anchor" in self.state[p]]
        for p in ready:
            self.state[p].setdefault("step", 0)
        return super()._alike({**group, "params": ready})

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        if group["weight_decay"]:
            torch._foreach_mul_(x, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(x, g, alpha=-group["lr"])
