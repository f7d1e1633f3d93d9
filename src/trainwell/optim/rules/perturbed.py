"""Perturbed gradient descent: noise where the gradient is small, to leave saddles.

    x ← x − η g + ξ,    ξ uniform in the ball ‖ξ‖ ≤ r  where ‖g‖ ≤ G and more than T steps passed since the last ξ,
                        ξ = 0                           elsewhere

with ‖·‖ over all parameters together. At a strict saddle (smallest eigenvalue −γ < 0) the noise has a part along the
falling direction, which grows by 1 + ηγ a step; plain descent that starts on the saddle's stable set stays. Jin et al.
take the gradient after the noise, here it is the one at hand: a difference of ηLr, without another pass. Their
stopping rule (no fall within T steps after a ξ) is the caller's.

State: the steps since the last noise and how often it acted, in the first group as int64 tensors (``quiet``,
``kicks``); ξ of step t is drawn from a generator seeded by (seed, t), so nothing else needs saving, all replicas draw
the same, and whether it acts is decided on the device. Memory: none. Cost: one gradient, O(n), n normal numbers.
Source: Jin et al. 2017, "How to Escape Saddle Points Efficiently", Algorithm 1, arXiv:1703.00887; claims L01 and L06;
in no deck.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule, with_gradient
from trainwell.optim.rules.step_seed import generator_of_step


class PerturbedGradientDescent(GradientRule):
    """Gradient descent with noise at points where it would stand still.

    Args:
        params: parameters or groups.
        lr: η; the paper's is c/L with c ≤ 1.
        radius: r, in units of the parameters; 0.01.
        threshold: G, in units of the gradient; 1e-3.
        pause: T ≥ 0 steps; 50.
        weight_decay: λ, coupled; not part of ‖g‖.
        seed: of the noise.
        maximize: climb instead.
    """

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        radius: float = 0.01,
        threshold: float = 1e-3,
        pause: int = 50,
        weight_decay: float = 0.0,
        seed: int = 0,
        maximize: bool = False,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "radius": radius,
                "threshold": threshold,
                "pause": pause,
                "weight_decay": weight_decay,
                "seed": seed,
                "maximize": maximize,
            },
        )
        first = self.param_groups[0]
        first.setdefault("steps", 0)
        first.setdefault("quiet", torch.tensor(first["pause"] + 1))
        first.setdefault("kicks", torch.tensor(0))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; with a closure it fills the gradients first, and its loss is returned."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        members = [(group, with_gradient(self, group["params"])) for group in self.param_groups]
        every = [p for _, found in members for p in found]
        if not every:
            return loss
        noise = self._noise(every)
        for group, found in members:
            if not found:
                continue
            rate = group["lr"] if group["maximize"] else -group["lr"]
            if group["weight_decay"]:
                torch._foreach_mul_(found, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(found, [p.grad for p in found], alpha=rate)  # type: ignore[misc]
            if noise:
                torch._foreach_add_(found, [noise[p] for p in found])
        return loss

    def _noise(self, every: list[Tensor]) -> dict[Tensor, Tensor]:
        """ξ for each parameter: zero where it does not act; nothing at all on a CPU, where looking is free."""
        first, device = self.param_groups[0], every[0].device
        norms = [torch.linalg.vector_norm(p.grad).to(device, torch.float32) for p in every]
        quiet, kicks = first["quiet"].to(device), first["kicks"].to(device)
        acts = (torch.stack(norms).square().sum().sqrt() <= first["threshold"]) & (quiet > first["pause"])
        first["quiet"], first["kicks"] = torch.where(acts, 1, quiet + 1), kicks + acts
        first["steps"] += 1
        if device.type == "cpu" and not acts:
            return {}
        generator = generator_of_step(first["seed"], first["steps"], device)
        draws = [torch.randn(p.shape, generator=generator, device=device) for p in every]
        size = sum(p.numel() for p in every)
        length = torch.rand((), generator=generator, device=device) ** (1 / size)  # of a uniform point in the unit ball
        norm = torch.stack([draw.square().sum() for draw in draws]).sum().sqrt()
        scale = acts * first["radius"] * length / norm
        return {p: (draw * scale).to(p.device, p.dtype) for p, draw in zip(every, draws, strict=True)}
