"""Yogi and AdaBelief: Adam with another second moment.

    m ← β₁ m + (1 − β₁) g                                      both
    Yogi        v ← v − (1 − β₂) sign(v − g²) g²               changes by g², not by the gap: never abruptly smaller
    AdaBelief   v ← β₂ v + (1 − β₂)(g − m)² + ε                small where the gradient is as predicted
    x ← x − η (m̂/(√v̂ + ε) + λ x),   m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

Decay is decoupled. Yogi's paper has no bias correction and starts v at the first squared gradient; like Optax we start
v at ``initial`` and correct, so that the first step is η. Where the papers' code and text differ we follow the text.
Memory: 2 numbers a parameter. Cost: one gradient, O(n).
Source: Zaheer et al. 2018, "Adaptive Methods for Nonconvex Optimization", Algorithm 2; Zhuang et al. 2020, Algorithm
2, arXiv:2010.07468; in no deck.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


def _descend(group: dict[str, Any], t: float, x: list[Tensor], m: list[Tensor], v: list[Tensor]) -> None:
    """x ← x − η (m̂/(√v̂ + ε) + λ x)."""
    beta1, beta2 = group["betas"]
    below = torch._foreach_sqrt(v)
    torch._foreach_div_(below, (1 - beta2**t) ** 0.5)
    torch._foreach_add_(below, group["eps"])
    if group["weight_decay"]:
        torch._foreach_mul_(x, 1 - group["lr"] * group["weight_decay"])
    torch._foreach_addcdiv_(x, m, below, -group["lr"] / (1 - beta1**t))


class Yogi(GradientRule):
    """Adam whose second moment moves by steps of its own size.

    Args:
        params: parameters or groups.
        lr: η; 1e-2, the paper's.
        betas: of both moments; (0.9, 0.999).
        eps: ε; 1e-3, the paper's: in Yogi it is a real part of the rule.
        initial: v before the first step; 1e-6, the paper's.
        weight_decay: λ, decoupled.
        maximize: climb instead.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-3,
        initial: float = 1e-6,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "initial": initial,
                "weight_decay": weight_decay,
                "maximize": maximize,
            },
        )

    def initial(self, group: dict[str, Any], slot: str, parameter: Tensor) -> Tensor:
        return torch.full_like(parameter, group["initial"] if slot == "square" else 0.0)

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (m, v), (beta1, beta2) = slots, group["betas"]
        torch._foreach_lerp_(m, g, 1 - beta1)
        squares = torch._foreach_mul(g, g)
        change = torch._foreach_sub(v, squares)
        torch._foreach_sign_(change)
        torch._foreach_addcmul_(v, change, squares, beta2 - 1)
        _descend(group, numbers["step"], x, m, v)


class AdaBelief(GradientRule):
    """Adam that divides by the deviation of gradients from their mean.

    Args:
        params: parameters or groups.
        lr: η; 1e-3.
        betas: of both moments; (0.9, 0.999).
        eps: ε, added to v every step and to its root; 1e-16, which the authors' code takes for float32.
        weight_decay: λ, decoupled.
        maximize: climb instead.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        params: Any,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-16,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (m, v), (beta1, beta2) = slots, group["betas"]
        torch._foreach_lerp_(m, g, 1 - beta1)
        surprise = torch._foreach_sub(g, m)
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, surprise, surprise, 1 - beta2)
        torch._foreach_add_(v, group["eps"])
        _descend(group, numbers["step"], x, m, v)
