"""Shampoo: every side of a gradient matrix is preconditioned by the root of its own second moment.

For a matrix g (r, c) — tensors are folded to (first dimension, the rest) —

    L ← L + g gᵀ,   R ← R + gᵀ g                       accumulate="sum", L₀ = R₀ = ε I (Gupta et al.)
    L ← β₂ L + (1 − β₂) g gᵀ,  R likewise              accumulate="mean", with bias correction and ε λmax I added
    m ← β₁ m + (1 − β₁) g,     m̂ = m/(1 − β₁ᵗ)
    D = L^(−1/4) m̂ R^(−1/4)
    x ← x − η (s D + λ x)

Sides longer than ``largest`` are cut into blocks with factors of their own (``cut=True``), or have no factor, and the
other side takes the whole root −1/2 (``cut=False``, one-sided). Grafting takes the length of another method's step:
s = ‖d‖/‖D‖ with d Adam's m̂/(√v̂ + 1e-8), or m̂ (SGD's), or s = 1 ("none"). Vectors have no sides: they take Adam's d,
or m̂/(√(ε + Σ g²)) where sums are kept. Roots are renewed every ``every`` steps, in float32 or better.

Memory per matrix: 1 number a parameter for m, 1 for v (Adam's grafting, vectors), 2 (r² + c²) for factors and roots:
4 more a parameter for a square matrix. Cost: one gradient, 2 n (r + c) operations a step for D, as many for the
factors, and eigenvalues (about 25 (r³ + c³)) every ``every`` steps.
Source: decks M (Anil et al. 2020, arXiv:2002.09018, cited there) and O10 of the theory; the rule with exponent −1/4 is
Gupta, Koren & Singer 2018, arXiv:1802.09568; grafting: Agarwal et al. 2020, arXiv:2002.11803.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import with_gradient
from trainwell.optim.second_order.guarded import GuardedOptimizer, NonFiniteStep
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen

GRAFTS = ("adam", "sgd", "none")
ACCUMULATES = ("mean", "sum")
ADAM_EPS = 1e-8


class Shampoo(GuardedOptimizer):
    """Shampoo with blocks, grafting and momentum; needs gradients only.

    Args:
        params: parameters or groups.
        lr: η; with Adam's grafting as Adam's rate.
        betas: of the momentum, and of the factors' and Adam's second moments.
        eps: ε, relative to the largest eigenvalue ("mean") or absolute ("sum").
        accumulate: "mean" or "sum".
        graft: "adam", "sgd" or "none".
        every: steps between new roots; the first ten steps renew them always, while the factors change fast.
        largest: longest side of a factor.
        cut: cut longer sides into blocks, or leave them without a factor.
        weight_decay: λ, decoupled.

    Raises:
        ValueError: for an option out of range.
        RuntimeError: from ``step`` for a sparse gradient, or factors that are not finite (no parameter has moved).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        eps: float = 1e-6,
        accumulate: str = "mean",
        graft: str = "adam",
        every: int = 10,
        largest: int = 1024,
        cut: bool = True,
        weight_decay: float = 0.0,
    ) -> None:
        if accumulate not in ACCUMULATES or graft not in GRAFTS or every < 1 or largest < 1:
            raise ValueError(
                f"Shampoo: accumulate={accumulate!r} must be one of {', '.join(ACCUMULATES)}, graft={graft!r} of "
                f"{', '.join(GRAFTS)}, every={every} and largest={largest} 1 or more."
            )
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "accumulate": accumulate, "graft": graft, "every": every,
             "largest": largest, "cut": cut, "weight_decay": weight_decay},
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; with a closure it fills the gradients first, and its loss is returned."""
        loss = None if closure is None else self.filled(closure)
        moves = [
            (group, p, self._step_of(group, p))
            for group in self.param_groups
            for p in with_gradient(self, group["params"])
        ]
        for group, p, move in moves:
            p.mul_(1 - group["lr"] * group["weight_decay"]).add_(move.to(p.dtype), alpha=-group["lr"])
        return loss

    def _step_of(self, group: dict[str, Any], p: Tensor) -> Tensor:
        """s D of one parameter, in its shape."""
        assert p.grad is not None
        state, (beta1, beta2) = self.state[p], group["betas"]
        g = p.grad.to(torch.promote_types(p.dtype, torch.float32))
        vector = not is_folded(p)
        if not state:
            state["step"], state["mean"] = 0, torch.zeros_like(g)
            if vector or group["graft"] == "adam":
                state["square"] = torch.zeros_like(g)
        t = state["step"] = state["step"] + 1
        state["mean"].lerp_(g, 1 - beta1)
        mean = state["mean"] / (1 - beta1**t)
        summed = vector and group["accumulate"] == "sum"
        adam = mean
        if summed:
            adam = mean / (state["square"].addcmul_(g, g) + group["eps"]).sqrt_()
        elif "square" in state:
            state["square"].mul_(beta2).addcmul_(g, g, value=1 - beta2)
            adam = mean / (state["square"] / (1 - beta2**t)).sqrt_().add_(ADAM_EPS)
        if vector:
            return adam if summed or group["graft"] != "sgd" else mean
        found = self._preconditioned(group, state, g.flatten(1), mean.flatten(1)).view_as(p)
        if group["graft"] == "none":
            return found
        return found * (adam.norm() / found.norm().clamp_min(1e-30))

    def _preconditioned(self, group: dict[str, Any], state: dict[str, Any], g: Tensor, mean: Tensor) -> Tensor:
        """L^(−1/4) m̂ R^(−1/4), block by block."""
        found = torch.empty_like(mean)
        size = group["largest"]
        whole = (not group["cut"] and g.shape[0] > size, not group["cut"] and g.shape[1] > size)
        if all(whole):
            whole = (False, False)  # no side is short enough for a factor: blocks after all
        sizes = [g.shape[i] if whole[i] else size for i in (0, 1)]
        cut = zip(*([b for rows in x.split(sizes[0], 0) for b in rows.split(sizes[1], 1)] for x in (g, mean, found)),
                  strict=True)  # fmt: skip
        for i, (part, of_mean, out) in enumerate(cut):
            sides = [name for name, left_out in zip("LR", whole, strict=True) if not left_out]
            for side in sides:
                self._learn(group, state, f"{side}{i}", part if side == "L" else part.T, -0.5 / len(sides))
            moved = state[f"L{i}_root"] @ of_mean if "L" in sides else of_mean
            out.copy_(moved @ state[f"R{i}_root"] if "R" in sides else moved)
        return found

    @staticmethod
    def _learn(group: dict[str, Any], state: dict[str, Any], name: str, g: Tensor, power: float) -> None:
        """Add g gᵀ to the factor called ``name``, and renew its root where that is due."""
        t, beta = state["step"], group["betas"][1]
        summed = group["accumulate"] == "sum"
        if name not in state:
            state[name] = torch.eye(len(g), dtype=g.dtype, device=g.device) * (group["eps"] if summed else 0.0)
        state[name].addmm_(g, g.T, beta=1.0 if summed else beta, alpha=1.0 if summed else 1 - beta)
        if t <= 10 or t % group["every"] == 0 or f"{name}_root" not in state:
            factor = state[name] if summed else state[name] / (1 - beta**t)
            state[f"{name}_root"] = matrix_power(factor, power, 0.0 if summed else group["eps"])


def is_folded(p: Tensor) -> bool:
    """Has the tensor two sides of more than one entry, once folded?"""
    return p.dim() > 1 and min(p.shape[0], p[0].numel()) > 1


def matrix_power(factor: Tensor, power: float, eps: float) -> Tensor:
    """(factor + ε λmax I)^power of a symmetric positive semi-definite matrix, by its eigenvalues.

    Raises:
        NonFiniteStep: if an entry is not finite.
    """
    if not bool(torch.isfinite(factor).all()):
        raise NonFiniteStep(
            "Shampoo: a factor is not finite, as a gradient was. No step was taken; use a lower rate, or look at this "
            "batch.",
            float("nan"),
        )
    values, vectors = symmetric_eigen(factor)
    values = (values + eps * values[-1]).clamp_min(torch.finfo(values.dtype).tiny ** 0.5)
    return vectors * values.pow(power) @ vectors.T
