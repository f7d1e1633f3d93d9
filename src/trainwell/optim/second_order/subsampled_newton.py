"""Subsampled Newton–CG: Newton's equation of one batch, solved roughly and damped.

    (B + λ I) p ≈ −g      conjugate gradients, at most ``turns``, until ‖(B + λI) p + g‖ ≤ min(½, √‖g‖) ‖g‖
    x ← x + α p           α = η, η/2, η/4, … until L(x + αp) ≤ L(x) + c α gᵀp on the batch (Armijo)

B is the batch's Gauss–Newton matrix or Hessian. Where dᵀ(B + λI)d ≤ 0 the inner loop ends with what it has (−g in its
first turn; counted in ``negative``). If ``search`` halvings find no decrease x stays (``rejected``). Damping follows
Levenberg–Marquardt where ``adapt`` is set, by the ratio ρ of the real to the predicted decrease at α = η:

    ρ > ¾: λ ← λ · 2/3,      ρ < ¼: λ ← λ · 3/2,

as in Hessian-free optimization. With one batch the step fits that batch alone: batches should be large (hundreds), and
the damping large where they are not.
Source: deck M (Roosta-Khorasani & Mahoney 2018, arXiv:1601.04737 and 1601.04738, are cited there; O10 of the theory);
Byrd, Chin, Neveitt & Nocedal 2011; Martens 2010 (the damping rule).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.flat import flatten, unflatten
from trainwell.optim.deterministic.truncated_newton import forcing, solve_truncated
from trainwell.optim.second_order.batch_model import CURVATURES, BatchModel
from trainwell.optim.second_order.guarded import GuardedOptimizer, one_kind


class SubsampledNewtonCG(GuardedOptimizer):
    """Newton–CG on batches.

    Args:
        params: parameters or groups, of one type and device; all groups at the first one's rate.
        lr: η, the first trial of the line search; 1, Newton's.
        curvature: "ggn" or "hessian".
        damping: λ at the start, in units of the loss's curvature.
        adapt: change λ by the ratio rule.
        turns: most inner turns; 10.
        search: most halvings of α; 8.
        sufficient: c of Armijo's condition; 1e-4.

    Memory: 8 numbers a parameter while stepping (1 kept), and the graph of a backward pass. Cost: about 2 + 3 · turns
    gradients.

    Raises:
        ValueError: for an option out of range.
        RuntimeError: without a :class:`~trainwell.optim.closure.Closure`;
            ``NonFiniteStep``.
    """

    needs = frozenset({"outputs"})
    asks = "outputs"

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        *,
        curvature: str = "ggn",
        damping: float = 1e-2,
        adapt: bool = True,
        turns: int = 10,
        search: int = 8,
        sufficient: float = 1e-4,
    ) -> None:
        if curvature not in CURVATURES or turns < 1 or search < 0:
            raise ValueError(f"SubsampledNewtonCG: curvature={curvature!r} must be one of {', '.join(CURVATURES)}, "
                             f"turns={turns} 1 or more, search={search} 0 or more.")  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "curvature": curvature, "damping": damping, "adapt": adapt, "turns": turns, "search": search,
             "sufficient": sufficient},
        )  # fmt: skip
        one_kind(self, self.members())

    @property
    def memory(self) -> dict[str, Any]:
        """λ and counts."""
        return self.of_all(self.members()[0])

    @property
    def negative(self) -> int:
        """Steps whose inner loop met a direction without positive curvature."""
        return int(self.memory.get("negative", 0))

    @property
    def rejected(self) -> int:
        """Steps that found no decrease, and left the parameters."""
        return int(self.memory.get("rejected", 0))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss before it."""
        closure = self.closure_with(closure)
        group, memory, members = self.param_groups[0], self.memory, self.members()
        damping = memory.setdefault("damping", group["damping"])
        model = BatchModel(closure, members, group["curvature"])
        self.check(model.loss, [model.gradient])
        if not bool(model.gradient.any()):
            return model.loss
        found = solve_truncated(model.product(damping), model.gradient, forcing(model.gradient), group["turns"])
        if found.negative:
            memory["negative"] = self.negative + 1
        predicted = model.decrease(group["lr"] * found.step)  # before the move: the graph reads the parameters
        first = self._search(model, members, found.step)
        if group["adapt"]:
            ratio = (float(model.loss) - first) / predicted if predicted > 0 else -1.0
            memory["damping"] = damping * (2 / 3 if ratio > 0.75 else 1.0 if ratio >= 0.25 else 1.5)
        return model.loss

    def _search(self, model: BatchModel, members: list[Tensor], step: Tensor) -> float:
        """Move along the step, or not at all; returns the loss at the first trial, α = η."""
        group, start = self.param_groups[0], flatten(members)
        slope, loss = float(model.gradient @ step), float(model.loss)
        alpha, first = group["lr"], None
        noise = 4 * torch.finfo(step.dtype).eps * abs(loss)
        for _ in range(group["search"] + 1):
            write(members, start + alpha * step)
            value = model.evaluate()
            first = value if first is None else first
            if value <= loss + group["sufficient"] * alpha * slope + noise:
                break
            alpha *= 0.5
        else:
            write(members, start)
            self.memory["rejected"] = self.rejected + 1
        assert first is not None
        return first


def write(members: list[Tensor], x: Tensor) -> None:
    """Move the parameters to the flat point x."""
    for p, part in zip(members, unflatten(x, [p.shape for p in members]), strict=True):
        p.copy_(part)
