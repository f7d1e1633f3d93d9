"""Proximal maps of penalties, by name: the exact step of a penalty that has corners.

    prox_t(w) = argmin_u ½‖u − w‖² + t·R(u)

``PROXIMAL[name](weight, t)``, for weights as matrices (out, rest), R as in ``PENALTIES`` where that has the name:

    l1            Σ|u|                        sign(w)(|w| − t)₊
    l2            ½ Σu²                       w / (1 + t)
    elastic_net   Σ|u| + ½ Σu²                sign(w)(|w| − t)₊ / (1 + t)
    group_lasso   Σ √p ‖row‖, p entries       row · (1 − t√p/‖row‖)₊
    l0            number of entries ≠ 0       w where w² > 2t, else 0              (not convex: a minimum, not unique)
    max_abs       max|u|                      w − P(w), P onto the L1 ball of size t   (Moreau)
    nuclear       Σσ                          U (σ − t)₊ Vᵀ                         low rank
    nonnegative   0 if u ≥ 0 else ∞           max(w, 0)

A gradient step on the loss and then prox with t = lr · strength is proximal gradient descent: exact zeros, where a
gradient step on R only comes near. After a step of an adaptive method t ought to be scaled for every weight as its
step is; here it is not, and then strength is not that of the penalty in the loss.
Source: Parikh & Boyd 2014, "Proximal Algorithms", ch. 6; Yuan & Lin 2006; Cai, Candès & Shen 2010 (nuclear). Deck G.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.constraints import StepHook, constrainable, onto_nonnegative
from trainwell.objectives.elastic_net import soft_threshold
from trainwell.objectives.projections import onto_l1_ball


def shrink_rows(weight: Tensor, threshold: float) -> Tensor:
    """row · (1 − t√p/‖row‖)₊ of each row of (out, ...), p entries each: the proximal map of the group lasso."""
    rows = weight.flatten(1)
    size = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    kept = (size - threshold * rows.shape[1] ** 0.5).clamp_min(0.0)
    return (rows * (kept / torch.where(size > 0, size, 1))).view_as(weight)


def hard_threshold(weight: Tensor, threshold: float) -> Tensor:
    """w where w² > 2t, else 0: the proximal map of the number of non-zero entries."""
    return torch.where(weight.square() > 2 * threshold, weight, 0.0)


def shrink_largest(weight: Tensor, threshold: float) -> Tensor:
    """Proximal map of max|u|: the largest entries are cut to one size, by t altogether."""
    return weight - onto_l1_ball(weight, threshold) if threshold else weight.clone()


def shrink_singular_values(weight: Tensor, threshold: float) -> Tensor:
    """U (σ − t)₊ Vᵀ: the proximal map of the sum of singular values of the weight as a matrix (out, rest)."""
    u, s, vh = torch.linalg.svd(weight.flatten(1), full_matrices=False)
    return ((u * (s - threshold).clamp_min(0.0)) @ vh).view_as(weight)


PROXIMAL: dict[str, Callable[[Tensor, float], Tensor]] = {
    "l1": soft_threshold,
    "l2": lambda weight, t: weight / (1 + t),
    "elastic_net": lambda weight, t: soft_threshold(weight, t) / (1 + t),
    "group_lasso": shrink_rows,
    "l0": hard_threshold,
    "max_abs": shrink_largest,
    "nuclear": shrink_singular_values,
    "nonnegative": lambda weight, t: onto_nonnegative(weight),
}
"""Name → proximal map (weight, t) → new tensor, t ≥ 0."""


def proximal_hook(model: nn.Module, name: str, strength: float) -> StepHook:
    """A hook for ``optimizer.register_step_post_hook``: w ← prox(w) with t = lr · strength after every step.

    Args:
        model: whose weights (``objectives.named_weights``, none of a parametrized layer) are changed; each takes
            the rate of its group in the optimizer, and a weight in no group is left alone.
        name: a key of ``PROXIMAL``.
        strength: λ ≥ 0 of the penalty.

    Raises:
        InputError: for an unknown name or a negative strength.
    """
    if name not in PROXIMAL:
        raise InputError(f"No proximal map is called {name!r}.", f"Choose one of {', '.join(PROXIMAL)}.")
    if not 0 <= strength < float("inf"):
        raise InputError(f"proximal_hook: strength is {strength}.", "Give 0 or more.")

    @torch.no_grad()
    def hook(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        rates = {id(p): float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
        for weight in constrainable(model).values():
            if id(weight) in rates:
                low = weight.dtype in (torch.bfloat16, torch.float16)
                weight.copy_(PROXIMAL[name](weight.float() if low else weight.detach(), rates[id(weight)] * strength))

    return hook
