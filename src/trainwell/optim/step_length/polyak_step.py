"""Polyak's step: as far as the loss of a linear model would take to its known minimum.

    η_t = min((f(x_t) − f*) / (c ‖g_t‖²), η_b),    x_{t+1} = x_t − η_t g_t

c = 1, η_b = ∞ is Polyak's rule; on batches, with the batch's own loss and f*, it is SPS_max, whose bound η_b keeps it
from long steps where losses cannot all reach f*. c = ½ is optimal for strongly convex losses (the step lies in
[1/L, 1/μ]) and converges from any start where the model interpolates (every sample reaches f*).
``growth`` g bounds the change as well: η_t ≤ g η_{t−1} (the paper's smoothing: g = 2^{B/N}).
Source: deck M, step sizes; Polyak 1987; Loizou, Vaswani, Laradji & Lacoste-Julien 2021, arXiv:2002.10542.
"""

import math
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.optim.rules.gradient_rule import need_closure, with_gradient
from trainwell.optim.second_order.guarded import NonFiniteStep


class PolyakStep(Optimizer):
    """See the module's text. One evaluation a step; one wait for the device; no state per parameter.

    Args:
        params: parameters or groups. A group of lower rate moves by its share r of the largest rate: along −r g, and
            Σ r ‖g‖² takes the place of ‖g‖².
        lr: the bound η_b. ``math.inf`` for Polyak's own rule.
        f_star: f*, the least loss; 0 for cross-entropy and squares that can be fitted.
        c: the divisor; ½ is the paper's for convex losses, 0.2 for its networks.
        growth: largest factor from one step length to the next; ∞ is none.

    Raises:
        RuntimeError: without a closure, for sparse gradients, a loss or gradient that is not finite, or a loss below
            ``f_star``; the parameters have not moved then.

    Example:
        >>> w = torch.nn.Parameter(torch.tensor([4.0]))
        >>> def closure():
        ...     w.grad = None
        ...     loss = 0.5 * 3.0 * w.square().sum()
        ...     loss.backward()
        ...     return loss.detach()
        >>> _ = PolyakStep([w], lr=math.inf).step(closure)
        >>> abs(w.item()) < 1e-6  # c = ½ on one eigenvalue is Newton's step
        True
    """

    needs: ClassVar[frozenset[str]] = frozenset({"closure"})

    def __init__(
        self, params: Any, lr: float = 1.0, f_star: float = 0.0, c: float = 0.5, growth: float = math.inf
    ) -> None:
        if not (lr >= 0 and c > 0 and growth >= 1 and math.isfinite(f_star)):
            raise ValueError(
                f"PolyakStep: lr={lr} must be 0 or more, c={c} above 0, growth={growth} at least 1, f_star={f_star} "
                "finite."
            )
        super().__init__(params, {"lr": lr, "f_star": f_star, "c": c, "growth": growth, "last_step": math.inf})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns the loss before it."""
        need_closure(self, closure)
        with torch.enable_grad():
            loss = closure()  # type: ignore[misc]
        largest, shares = rate_shares(self)
        members = [(p, r) for group, r in shares for p in with_gradient(self, group["params"])]
        value, square = float(loss), squared_norm(members)
        if not (math.isfinite(value) and math.isfinite(square)):
            raise NonFiniteStep(
                f"PolyakStep: the loss is {value:.6g} and the gradient's squared norm {square:.6g}; the parameters "
                "stay where they were. Take a smaller lr (the bound of the step).",
                value,
            )
        head = self.param_groups[0]
        if value < head["f_star"] - 1e-6 * abs(head["f_star"]):
            raise RuntimeError(
                f"PolyakStep: the loss {value:.6g} is below f_star={head['f_star']:.6g}, which is then not the least "
                "loss; the parameters stay where they were. Give a lower f_star."
            )
        if square == 0.0:
            return loss
        wanted = max(0.0, value - head["f_star"]) / (head["c"] * square)
        length = min(wanted, largest, head["growth"] * head["last_step"])
        head["last_step"] = length or math.inf
        for p, r in members:
            p.sub_(p.grad, alpha=length * r)  # type: ignore[arg-type]
        return loss


def rate_shares(optimizer: Optimizer) -> tuple[float, list[tuple[dict[str, Any], float]]]:
    """The largest rate of the groups, and each group with its rate's share of it."""
    largest = max(group["lr"] for group in optimizer.param_groups)
    return largest, [
        (group, 1.0 if group["lr"] == largest else float(group["lr"] / largest)) for group in optimizer.param_groups
    ]


def squared_norm(parameters: list[tuple[Tensor, float]]) -> float:
    """Σ r ‖g‖² over parameters and shares r; in float64 for float64 and in float32 for lower types."""
    if not parameters:
        return 0.0
    home = parameters[0][0].device
    parts = [torch.linalg.vector_norm(p.grad, dtype=wide(p.dtype)).to(home) * r**0.5 for p, r in parameters]
    return float(torch.linalg.vector_norm(torch.stack(parts))) ** 2


def wide(dtype: torch.dtype) -> torch.dtype:
    """Float64 for float64, else float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32
