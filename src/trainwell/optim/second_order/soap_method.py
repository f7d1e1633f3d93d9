"""SOAP: Adam in the eigenbasis of Shampoo's factors.

For a matrix g (r, c) (tensors folded to (first dimension, the rest)), with bases Q_L, Q_R:

    L ← β L + (1 − β) g gᵀ,   R ← β R + (1 − β) gᵀ g
    m ← β₁ m + (1 − β₁) g                                            kept in the original basis
    v ← β₂ v + (1 − β₂) (Q_Lᵀ g Q_R)²                                kept in the eigenbasis
    D = Q_L [ (Q_Lᵀ m̂ Q_R) / (√v̂ + ε) ] Q_Rᵀ,     m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)
    x ← x − η (D + λ x)

Every ``every`` steps the bases follow the factors by one power iteration, Q ← QR(L Q), with columns put in the order
of diag(QᵀLQ) and v with them. The authors spend their first step on the bases alone; here it is Adam's step, after
which v is taken over in the first eigenbasis. Sides longer than ``largest`` keep their basis (one-sided), vectors are
Adam's. With no basis at all the rule is Adam's.

Memory per matrix: 2 numbers a parameter for m and v, 2 (r² + c²) for factors and bases: 6 in all for a square one.
Cost: one gradient, 6 n (r + c) operations a step, and a QR (about 4 (r³ + c³)) every ``every`` steps.
Source: Vyas et al. 2024, Algorithm 3, arXiv:2409.11321; in no deck (deck M: Shampoo).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import with_gradient
from trainwell.optim.second_order.guarded import GuardedOptimizer, NonFiniteStep
from trainwell.optim.second_order.shampoo_method import is_folded
from trainwell.optim.second_order.symmetric_eigen import symmetric_eigen


class SOAP(GuardedOptimizer):
    """Shampoo with Adam in the preconditioner's eigenbasis; needs gradients only.

    Args:
        params: parameters or groups.
        lr: η; 3e-3, the paper's.
        betas: (β₁, β₂) = (0.95, 0.95), the paper's.
        shampoo_beta: β of the factors; β₂ if None.
        eps: ε; 1e-8.
        every: steps between new bases; 10, the paper's.
        largest: longest side with a basis; 2048 (the paper's: 10000, for GPUs).
        weight_decay: λ, decoupled.

    Raises:
        ValueError: for an option out of range.
        RuntimeError: from ``step`` for a sparse gradient, or factors that are not finite (no parameter has moved).
    """

    def __init__(
        self,
        params: Any,
        lr: float = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        *,
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        every: int = 10,
        largest: int = 2048,
        weight_decay: float = 0.0,
    ) -> None:
        if every < 1 or largest < 1 or not 0 <= (shampoo_beta or 0) < 1:
            raise ValueError(f"SOAP: every={every} and largest={largest} must be 1 or more, "
                             f"shampoo_beta={shampoo_beta} lie in [0, 1).")  # fmt: skip
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "shampoo_beta": shampoo_beta, "eps": eps, "every": every, "largest": largest,
             "weight_decay": weight_decay},
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
        """D of one parameter, in its shape."""
        assert p.grad is not None
        state, (beta1, beta2) = self.state[p], group["betas"]
        g = p.grad.to(torch.promote_types(p.dtype, torch.float32))
        g = g.flatten(1) if is_folded(p) else g
        if not state:
            state.update(step=0, mean=torch.zeros_like(g), square=torch.zeros_like(g))
        t = state["step"] = state["step"] + 1
        state["mean"].lerp_(g, 1 - beta1)
        rotated = rotate(state, g)
        state["square"].mul_(beta2).addcmul_(rotated, rotated, value=1 - beta2)
        below = (state["square"] / (1 - beta2**t)).sqrt_().add_(group["eps"])
        found = rotate(state, rotate(state, state["mean"] / (1 - beta1**t)) / below, back=True)
        if is_folded(p):
            self._learn(group, state, g)
        return found.view_as(p)

    @staticmethod
    def _learn(group: dict[str, Any], state: dict[str, Any], g: Tensor) -> None:
        """Factors, and where due bases, for the next step."""
        beta2, t = group["betas"][1], state["step"]
        beta = beta2 if group["shampoo_beta"] is None else group["shampoo_beta"]
        for side, rows in (("L", g), ("R", g.T)):
            if len(rows) > group["largest"]:
                continue
            if t == 1:
                state[side] = (1 - beta) * rows @ rows.T
                state[f"Q{side}"] = first_basis(state[side])
                continue
            state[side].addmm_(rows, rows.T, beta=beta, alpha=1 - beta)
            if t % group["every"] == 0:
                basis, order = next_basis(state[side], state[f"Q{side}"])
                state[f"Q{side}"] = basis
                state["square"] = state["square"].index_select(0 if side == "L" else 1, order)
        if t == 1:  # Adam's first step is done: its second moment, in the basis that follows
            state["square"] = (1 - beta2) * rotate(state, g).square()


def rotate(state: dict[str, Any], matrix: Tensor, back: bool = False) -> Tensor:
    """Q_Lᵀ M Q_R, or Q_L M Q_Rᵀ; sides without a basis stay."""
    left, right = state.get("QL"), state.get("QR")
    if left is not None:
        matrix = (left if back else left.T) @ matrix
    if right is not None:
        matrix = matrix @ (right.T if back else right)
    return matrix


def first_basis(factor: Tensor) -> Tensor:
    """Eigenvectors in columns, largest eigenvalue first.

    Raises:
        NonFiniteStep: if an entry is not finite.
    """
    if not bool(torch.isfinite(factor).all()):
        raise NonFiniteStep(
            "SOAP: the first gradient is not finite. No step was taken; look at the data and the model's scale.",
            float("nan"),
        )
    return symmetric_eigen(factor)[1].flip(1)


def next_basis(factor: Tensor, basis: Tensor) -> tuple[Tensor, Tensor]:
    """One power iteration: the new basis, and the order that its columns have in the old one."""
    order = (basis * (factor @ basis)).sum(0).argsort(descending=True, stable=True)
    return torch.linalg.qr(factor @ basis[:, order]).Q, order
