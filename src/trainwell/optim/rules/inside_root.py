"""Deck M's adaptive methods: ε inside the root, and no bias correction.

    Adagrad   s ← s + g²                     x ← x − η g/√(s + ε)
    RMSprop   s ← β s + (1 − β) g²           x ← x − η g/√(s + ε)
    Adam      m ← β₁ m + (1 − β₁) g
              s ← β₂ s + (1 − β₂) g²         x ← x − η m/√(s + ε)

Torch's (``adagrad``, ``rmsprop``, ``adam`` of the table) have √s + ε, and Adam's moments corrected for their start. It
matters at the beginning: with a constant gradient the deck's Adam steps by η (1 − β₁ᵏ)/√(1 − β₂ᵏ), 3.16 η in step 1
and 6.57 η in step 12, torch's by η. And where gradients are below √ε: inside the root, ε = 1e-8 hides all below 1e-4.
Weight decay, where asked for, is coupled (λ x is added to g), as in the deck's penalties.

Memory: 1, 1 and 2 numbers a parameter. Cost: one gradient, O(n).
Source: deck M, "SGD with adaptive learning rates"; Duchi, Hazan & Singer 2011; Tieleman & Hinton 2012; Kingma & Ba
2015, arXiv:1412.6980 (whose Algorithm 1 is torch's).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


class _InsideRoot(GradientRule):
    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        if group["weight_decay"]:
            g = list(torch._foreach_add(g, x, alpha=group["weight_decay"]))
        direction, s = self.moments(group, g, *slots)
        below = torch._foreach_add(s, group["eps"])
        torch._foreach_sqrt_(below)
        torch._foreach_addcdiv_(x, direction, below, -group["lr"])

    def moments(
        self, group: dict[str, Any], g: list[Tensor], *slots: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Move the slots and return the direction and s."""
        raise NotImplementedError


class DeckAdagrad(_InsideRoot):
    """Adagrad with ε inside the root.

    Args:
        params: parameters or groups.
        lr: η; 0.01, torch's.
        eps: ε; 1e-10, torch's.
        weight_decay: λ, coupled.
        maximize: climb instead.
    """

    slots = ("square",)

    def __init__(
        self,
        params: Any,
        lr: float = 0.01,
        *,
        eps: float = 1e-10,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "eps": eps, "weight_decay": weight_decay, "maximize": maximize})

    def moments(
        self, group: dict[str, Any], g: list[Tensor], *slots: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        torch._foreach_addcmul_(slots[0], g, g, 1.0)
        return g, slots[0]


class DeckRMSprop(_InsideRoot):
    """RMSprop with ε inside the root.

    Args:
        params: parameters or groups.
        lr: η; 0.001: a constant gradient moves by η a step in the end.
        alpha: β; 0.99, one of the deck's two.
        eps: ε; 1e-8.
        weight_decay: λ, coupled.
        maximize: climb instead.
    """

    slots = ("square",)

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        alpha: float = 0.99,
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def moments(
        self, group: dict[str, Any], g: list[Tensor], *slots: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        torch._foreach_mul_(slots[0], group["alpha"])
        torch._foreach_addcmul_(slots[0], g, g, 1 - group["alpha"])
        return g, slots[0]


class DeckAdam(_InsideRoot):
    """Adam with ε inside the root and without bias correction.

    Args:
        params: parameters or groups.
        lr: η; 0.001.
        betas: of both moments; (0.9, 0.999), the deck's.
        eps: ε; 1e-8, the deck's.
        weight_decay: λ, coupled.
        maximize: climb instead.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        params: Any,
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        )

    def moments(
        self, group: dict[str, Any], g: list[Tensor], *slots: list[Tensor]
    ) -> tuple[list[Tensor], list[Tensor]]:
        (m, s), (beta1, beta2) = slots, group["betas"]
        torch._foreach_lerp_(m, g, 1 - beta1)
        torch._foreach_mul_(s, beta2)
        torch._foreach_addcmul_(s, g, g, 1 - beta2)
        return m, s
