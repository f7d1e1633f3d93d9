"""LARS and LAMB: a rate for each tensor, in proportion to its norm.

    LARS   g ← g + λ x,   r = τ ‖x‖/(‖∇f‖ + λ ‖x‖),      b ← β b + η r g,   x ← x − b
    LAMB   u = m̂/(√v̂ + ε) + λ x,   r = ‖x‖/‖u‖,         x ← x − η r u

with Adam's corrected moments m̂, v̂. r is 1 where a norm is zero (a tensor that starts at zero could never leave it),
and for tensors with fewer than two dimensions, as all published runs have it: the norm of a bias says nothing about
its scale. So each matrix moves by about η (LAMB) or ητ (LARS) of its own norm, whatever the batch: made for batches of
thousands. Norms are of a tensor, not of a layer's tensors together.

Memory: 1 (LARS), 2 (LAMB) numbers a parameter. Cost: one gradient, O(n), two norms. Source: You, Gitman & Ginsburg
2017, Algorithm 1, arXiv:1708.03888; You et al. 2020, Algorithm 2 with φ(z) = z, arXiv:1904.00962; in no deck.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


def _ratios(x: list[Tensor], numerators: list[Tensor], denominators: list[Tensor], factor: float) -> list[Tensor]:
    """factor · numerator / denominator for tensors of two dimensions or more where both are above 0, else 1."""
    above, below = torch.stack(numerators), torch.stack(denominators)
    ratios = torch.where((above > 0) & (below > 0), factor * above / below, torch.ones_like(above)).unbind()
    return [ratio if p.dim() >= 2 else torch.ones_like(ratio) for p, ratio in zip(x, ratios, strict=True)]


class LARS(GradientRule):
    """Layer-wise adaptive rate scaling of SGD with momentum.

    Args:
        params: parameters or groups.
        lr: η, on top of the ratio; 1.0. Vectors move at it without a ratio.
        momentum: β; 0.9.
        weight_decay: λ, coupled and scaled by the ratio.
        trust: τ; 0.001, the paper's.
        maximize: climb instead.
    """

    slots = ("momentum",)

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        momentum: float = 0.9,
        *,
        weight_decay: float = 0.0,
        trust: float = 0.001,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust, "maximize": maximize},
        )

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (b,), decay = slots, group["weight_decay"]
        sizes = list(torch._foreach_norm(x))
        below = list(torch._foreach_add(torch._foreach_norm(g), sizes, alpha=decay))
        step = torch._foreach_add(g, x, alpha=decay) if decay else g
        step = torch._foreach_mul(step, _ratios(x, sizes, below, group["trust"]))
        torch._foreach_mul_(b, group["momentum"])
        torch._foreach_add_(b, step, alpha=group["lr"])
        torch._foreach_sub_(x, b)


class LAMB(GradientRule):
    """Layer-wise adaptive moments.

    Args:
        params: parameters or groups.
        lr: η; 2e-3, the middle of the paper's range for batches of 512 to 32 768.
        betas: of both moments; (0.9, 0.999).
        eps: ε; 1e-6, the paper's code.
        weight_decay: λ, inside the ratio.
        maximize: climb instead.
    """

    slots = ("mean", "square")

    def __init__(
        self,
        params: Any,
        lr: float = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-6,
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
        (m, v), (beta1, beta2), t = slots, group["betas"], numbers["step"]
        torch._foreach_lerp_(m, g, 1 - beta1)
        torch._foreach_mul_(v, beta2)
        torch._foreach_addcmul_(v, g, g, 1 - beta2)
        below = torch._foreach_sqrt(v)
        torch._foreach_mul_(below, (1 - beta1**t) / (1 - beta2**t) ** 0.5)  # with m's correction, not to copy m twice
        torch._foreach_add_(below, group["eps"] * (1 - beta1**t))
        u = torch._foreach_div(m, below)
        if group["weight_decay"]:
            torch._foreach_add_(u, x, alpha=group["weight_decay"])
        torch._foreach_mul_(u, _ratios(x, list(torch._foreach_norm(x)), list(torch._foreach_norm(u)), 1.0))
        torch._foreach_add_(x, u, alpha=-group["lr"])
