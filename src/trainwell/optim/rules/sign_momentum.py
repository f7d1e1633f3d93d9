"""Lion: the sign of an interpolated momentum.

    c ← β₁ m + (1 − β₁) g
    x ← x − η (sign(c) + λ x)            decoupled decay
    m ← β₂ m + (1 − β₂) g

Every coordinate moves by η, so the rate is 3–10× below AdamW's and λ as much above. Memory: 1 number a parameter (half
of AdamW's). Cost: one gradient, O(n). Source: Chen et al. 2023, "Symbolic Discovery of Optimization Algorithms",
Algorithm 2, arXiv:2302.06675; in no deck.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


class Lion(GradientRule):
    """Evolved sign momentum.

    Args:
        params: parameters or groups.
        lr: η; 1e-4, the paper's.
        betas: (β₁, β₂) = (0.9, 0.99), the paper's.
        weight_decay: λ, decoupled.
        maximize: climb instead.

    Errors of bfloat16: m moves by (1 − β₂)(g − m), which is lost where it is below 2⁻⁹ of m.
    """

    slots = ("momentum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay, "maximize": maximize})

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (m,), (beta1, beta2), lr = slots, group["betas"], group["lr"]
        direction = torch._foreach_lerp(m, g, 1 - beta1)
        torch._foreach_sign_(direction)
        if group["weight_decay"]:
            torch._foreach_mul_(x, 1 - lr * group["weight_decay"])
        torch._foreach_add_(x, direction, alpha=-lr)
        torch._foreach_lerp_(m, g, 1 - beta2)
