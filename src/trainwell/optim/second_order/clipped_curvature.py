"""Sophia: momentum over a diagonal curvature that is measured seldom, every coordinate clipped.

    m ← β₁ m + (1 − β₁) g
    every ``every`` steps:  h ← β₂ h + (1 − β₂) ĥ
    x ← x − η (clip(m / max(γ h, ε), ±1) + λ x)

ĥ estimates a diagonal with one random vector: "hutchinson" (Sophia-H), ĥ = z ⊙ (H z) with z = ±1, or
"gauss-newton" (Sophia-G), ĥ = (Jᵀ s)² with s a random root of the loss's curvature in the outputs, for cross-entropy
the gradient at sampled labels (times the batch, as the paper has it). Where h ≤ 0, or small, the clip makes the step
that of sign momentum: an indefinite Hessian does no harm.
Memory: 2 numbers a parameter, 1 copy of the last good point. Cost: one gradient, and 1 (G) or about 3 (H) more every
``every`` steps. Random vectors depend on ``seed`` and the step alone.
Source: Liu et al. 2024, Algorithms 1–3, arXiv:2305.14342; in no deck.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.products import hessian_product
from trainwell.optim.rules.step_seed import generator_of_step
from trainwell.optim.second_order.guarded import GuardedOptimizer, graph_gradient
from trainwell.optim.second_order.output_roots import output_roots, signs

ESTIMATORS = ("hutchinson", "gauss-newton")


class Sophia(GuardedOptimizer):
    """Clipped second-order momentum.

    Args:
        params: parameters or groups.
        lr: η: every coordinate moves by η at most.
        betas: of m and h; (0.96, 0.99), the paper's.
        estimator: "hutchinson" or "gauss-newton".
        gamma: γ; 0.01 (the paper's for H; 0.05 for G), such that 10–50 % of the coordinates are not clipped.
        eps: ε; 1e-12.
        every: steps between estimates; 10, the paper's.
        weight_decay: λ, decoupled.
        seed: of the random vectors.

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
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.96, 0.99),
        *,
        estimator: str = "gauss-newton",
        gamma: float = 0.05,
        eps: float = 1e-12,
        every: int = 10,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        if estimator not in ESTIMATORS or not gamma > 0 or every < 1:
            raise ValueError(f"Sophia: estimator={estimator!r} must be one of {', '.join(ESTIMATORS)}, gamma={gamma} "
                             f"above 0, every={every} 1 or more.")  # fmt: skip
        if estimator == "hutchinson":
            self.needs, self.asks = frozenset({"closure"}), "loss"
        self.estimator = estimator
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "gamma": gamma, "eps": eps, "every": every, "weight_decay": weight_decay,
             "seed": seed},
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss before it."""
        closure = self.closure_with(closure)
        members, group = self.members(), self.param_groups[0]
        t = self.state[members[0]].get("step", 0)
        if t % group["every"]:
            loss: Tensor = self.filled(closure)
            found: dict[Tensor, Tensor] = {}
        else:
            loss, diagonal = self._estimated(closure, members, t)
            found = dict(zip(members, diagonal, strict=True))
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    self._move(group, p, found.get(p))
        return loss

    def _estimated(self, closure: Any, members: list[Tensor], t: int) -> tuple[Tensor, list[Tensor]]:
        """The loss, and ĥ of each parameter; gradients are filled."""
        generator = generator_of_step(self.param_groups[0]["seed"], t, members[0].device)
        with torch.enable_grad():
            if self.estimator == "hutchinson":
                loss = closure.loss()
                self.check(loss.detach(), graph_gradient(loss, members))
                probe = [signs(p, generator) for p in members]
                bent = hessian_product(loss, members)(probe)
                return loss.detach(), [z * h for z, h in zip(probe, bent, strict=True)]
            outputs, loss_of = closure.outputs()
            loss = loss_of(outputs)
            self.check(loss.detach(), graph_gradient(loss, members))
            (root,) = output_roots(outputs, loss_of, "monte-carlo", generator)
            back = torch.autograd.grad(outputs, members, root, allow_unused=True)
        return loss.detach(), [
            torch.zeros_like(p) if g is None else g.square() for p, g in zip(members, back, strict=True)
        ]

    def _move(self, group: dict[str, Any], p: Tensor, diagonal: Tensor | None) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state.update(step=0, mean=torch.zeros_like(p), curvature=torch.zeros_like(p))
        assert p.grad is not None
        state["step"] += 1
        state["mean"].lerp_(p.grad, 1 - beta1)
        if diagonal is not None:
            state["curvature"].lerp_(diagonal, 1 - beta2)
        below = (group["gamma"] * state["curvature"]).clamp_min_(group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_((state["mean"] / below).clamp_(-1, 1), alpha=-group["lr"])
