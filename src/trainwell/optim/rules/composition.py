"""SCGD: stochastic gradient descent for a function of an expectation.

    minimize F(x) = f(E g(x)),       g: ℝⁿ → ℝᵐ and f seen through samples

    y ← (1 − β) y + β g(x; ξ)                            y follows E g(x)
    x ← x − η (∂g(x; ξ)/∂x)ᵀ ∇f(y)

The gradient of f(g(x; ξ)) is not an unbiased estimate of ∇F, since E f(g) ≠ f(E g): SGD on it goes to another point.
With β = 1 this is that SGD. The average y needs to move faster than x: η ∝ k^{−3/4}, β ∝ k^{−1/2} in the paper.
Memory: m numbers in all. Cost: one gradient through g and one of f.
Source: Wang, Fang & Liu 2017, "Stochastic compositional gradient descent", Algorithm 1, arXiv:1411.3803 (deck M lists
it as [Wang et al., 2016]).
"""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.optim.rules.gradient_rule import check_ranges


class SCGD(Optimizer):
    """Stochastic compositional gradient descent.

    Args:
        params: parameters or groups.
        lr: η of step k; scheduled by the caller, k^{−3/4} in the paper.
        beta: β of step k, in (0, 1]; write ``group["beta"]`` to lower it as k^{−1/2}.
        maximize: climb instead.

    Example:
        >>> x = torch.nn.Parameter(torch.tensor([4.0]))
        >>> optimizer = SCGD([x], lr=0.1, beta=0.5)
        >>> for _ in range(200):
        ...     _ = optimizer.step(lambda: x + torch.randn(1), lambda y: y.square().sum())
        >>> bool(x.abs() < 1)
        True
    """

    needs: ClassVar[frozenset[str]] = frozenset({"composition"})

    def __init__(self, params: Any, lr: float = 0.01, beta: float = 0.1, *, maximize: bool = False) -> None:
        check_ranges("SCGD", {"lr": lr})
        if not 0 < beta <= 1:
            raise ValueError(f"SCGD: beta={beta} must lie in (0, 1].")
        super().__init__(params, {"lr": lr, "beta": beta, "maximize": maximize})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, inner: Callable[[], Tensor] | None = None, outer: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Make one step.

        Args:
            inner: ``() -> g(x; ξ)``, any shape, with its graph.
            outer: ``y -> f(y)``, a scalar.

        Returns:
            f(y), with the y of this step.

        Raises:
            RuntimeError: if a function is missing.
        """
        if inner is None or outer is None:
            raise RuntimeError("SCGD minimizes outer(E inner()): call step(inner, outer).")
        members = [(group, p) for group in self.param_groups for p in group["params"] if p.requires_grad]
        state = self.state[members[0][1]]
        with torch.enable_grad():
            sample = inner()
            before = state.get("inner")
            y = (
                sample.detach().clone()
                if before is None
                else before.lerp(sample.detach(), self.param_groups[0]["beta"])
            )
            loss = outer(y.requires_grad_())
            (slope,) = torch.autograd.grad(loss, y)
            gradients = torch.autograd.grad(sample, [p for _, p in members], slope, allow_unused=True)
        state["inner"] = y.detach()
        for (group, p), gradient in zip(members, gradients, strict=True):
            p.grad = gradient
            if gradient is not None:
                p.add_(gradient, alpha=group["lr"] if group["maximize"] else -group["lr"])
        return loss.detach()
