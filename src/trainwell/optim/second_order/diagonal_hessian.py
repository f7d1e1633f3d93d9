"""AdaHessian: Adam whose second moment is that of the Hessian's diagonal, estimated by one random probe a step.

    z = ±1 at random,   h = z ⊙ (H z)                        E[h] = diag H (Hutchinson)
    h ← mean of h over each kernel (spatial averaging; tensors of 3 dimensions and more, over the third and on)
    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) h²
    x ← x − η (m̂/(v̂^(k/2) + ε) + λ x),   m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)

k in (0, 1] is the Hessian power: 1 is the method's, smaller is closer to SGD. Squaring makes an indefinite diagonal
harmless: it is |h| that counts. The probe depends on ``seed`` and the step alone.
Memory: 2 numbers a parameter, 1 copy of the last good point, and the graph of a backward pass while stepping. Cost:
about 2 gradients more than a gradient (H z through the gradient's graph).
Source: Yao et al. 2021, arXiv:2006.00719, Algorithm 1; in no deck.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.products import hessian_product
from trainwell.optim.rules.step_seed import generator_of_step
from trainwell.optim.second_order.guarded import GuardedOptimizer, graph_gradient
from trainwell.optim.second_order.output_roots import signs


class AdaHessian(GuardedOptimizer):
    """Adam with the Hessian's diagonal.

    Args:
        params: parameters or groups.
        lr: η; 0.15 is the authors', for convolutional networks.
        betas: of both moments; (0.9, 0.999).
        eps: ε; 1e-4, the authors' code's.
        power: k in (0, 1].
        average: spatial averaging over kernels.
        every: steps between new probes; 1. In between v stays.
        weight_decay: λ, decoupled.
        seed: of the probes.

    Raises:
        ValueError: for an option out of range.
        RuntimeError: without a :class:`~trainwell.optim.closure.Closure`;
            ``NonFiniteStep``.
    """

    needs = frozenset({"closure"})
    asks = "loss"

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.999),
        *,
        eps: float = 1e-4,
        power: float = 1.0,
        average: bool = True,
        every: int = 1,
        weight_decay: float = 0.0,
        seed: int = 0,
    ) -> None:
        if not 0 < power <= 1 or every < 1:
            raise ValueError(f"AdaHessian: power={power} must lie in (0, 1], every={every} be 1 or more.")
        super().__init__(
            params,
            {"lr": lr, "betas": betas, "eps": eps, "power": power, "average": average, "every": every,
             "weight_decay": weight_decay, "seed": seed},
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss before it."""
        closure = self.closure_with(closure)
        members, group = self.members(), self.param_groups[0]
        t = self.state[members[0]].get("step", 0)
        if t % group["every"]:
            loss: Tensor = self.filled(closure)
            diagonal = None
        else:
            loss, diagonal = self._probed(closure, members, t)
        found = dict(zip(members, diagonal, strict=True)) if diagonal is not None else {}
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.requires_grad:
                    self._move(group, p, found.get(p))
        return loss

    def _probed(self, closure: Any, members: list[Tensor], t: int) -> tuple[Tensor, list[Tensor]]:
        with torch.enable_grad():
            loss = closure.loss()
            gradients = graph_gradient(loss, members)
            self.check(loss.detach(), gradients)
            generator = generator_of_step(self.param_groups[0]["seed"], t, members[0].device)
            probe = [signs(p, generator) for p in members]
            bent = hessian_product(loss, members)(probe)
        return loss.detach(), [z * h for z, h in zip(probe, bent, strict=True)]

    def _move(self, group: dict[str, Any], p: Tensor, diagonal: Tensor | None) -> None:
        state, (beta1, beta2) = self.state[p], group["betas"]
        if not state:
            state.update(step=0, probes=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
        assert p.grad is not None
        t = state["step"] = state["step"] + 1
        state["mean"].lerp_(p.grad, 1 - beta1)
        if diagonal is not None:
            h = kernel_mean(diagonal) if group["average"] else diagonal
            state["square"].mul_(beta2).addcmul_(h, h, value=1 - beta2)
            state["probes"] += 1
        below = (state["square"] / (1 - beta2 ** state["probes"])).pow_(0.5 * group["power"]).add_(group["eps"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.addcdiv_(state["mean"], below, value=-group["lr"] / (1 - beta1**t))


def kernel_mean(diagonal: Tensor) -> Tensor:
    """|h| averaged over the kernel's places, for tensors (outputs, inputs, kernel …); others as they are."""
    if diagonal.dim() < 3:
        return diagonal
    return diagonal.abs().mean(tuple(range(2, diagonal.dim())), keepdim=True).expand_as(diagonal)
