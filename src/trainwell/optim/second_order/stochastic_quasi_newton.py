"""Stochastic quasi-Newton methods: curvature pairs (s, y) that do not mix the noise of two batches.

Both apply the inverse of a limited-memory BFGS matrix to the batch's gradient (two-loop recursion):

    online L-BFGS   p = B⁻¹ g(x; batch),   x⁺ = x − η p
                    s = x⁺ − x,   y = g(x⁺; batch) − g(x; batch) + λ s          the same batch twice
    SQN             x ← x − η B⁻¹ g(x; batch)
                    every L steps: s = w̄ − w̄_before,   y = ∇²F(w̄; batch) s + λ s  w̄: the mean of the last L iterates

oLBFGS starts the recursion with the mean of sᵀy/yᵀy over the pairs, SQN with that of the last. Until there is a pair,
oLBFGS takes p = g, and SQN plain SGD steps for 2 L. A pair with sᵀy ≤ ``least`` ‖s‖ ‖y‖ says nothing of a positive
curvature: it is skipped and counted in ``skipped``. With Powell's damping y is moved towards B₀ s = s/γ instead,

    y ← θ y + (1 − θ) B₀ s,   θ = 0.8 sᵀB₀s / (sᵀB₀s − sᵀy)  where sᵀy < 0.2 sᵀB₀s,

and the pair is kept (``damped`` counts these).
Source: deck M (Byrd, Hansen, Nocedal & Singer 2016, arXiv:1401.7020, Algorithm 1, is cited there; O10 of the theory);
Schraudolph, Yu & Günter 2007, "A stochastic quasi-Newton method for online convex optimization", AISTATS; Powell 1978.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from trainwell.curvature.flat import flatten, unflatten
from trainwell.curvature.ggn import GaussNewton
from trainwell.curvature.second_derivatives import Hessian
from trainwell.optim.second_order.guarded import GuardedOptimizer, one_kind


class CurvaturePairs(GuardedOptimizer):
    """What both share: pairs as rows of two matrices (at most ``history``, n) in the first parameter's state."""

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if defaults["history"] < 1 or not defaults["least"] >= 0:
            raise ValueError(f"{type(self).__name__}: history={defaults['history']} must be 1 or more, "
                             f"least={defaults['least']} 0 or more.")  # fmt: skip
        super().__init__(params, defaults)
        one_kind(self, self.members())

    @property
    def memory(self) -> dict[str, Any]:
        """Pairs and counts."""
        return self.of_all(self.members()[0])

    @property
    def skipped(self) -> int:
        """Pairs left out because their curvature was not positive."""
        return int(self.memory.get("skipped", 0))

    @property
    def damped(self) -> int:
        """Pairs kept after Powell's damping."""
        return int(self.memory.get("damped", 0))

    def _gradients(self) -> Tensor:
        return flatten([torch.zeros_like(p) if p.grad is None else p.grad for p in self.members()])

    def _add(self, vector: Tensor, alpha: float) -> None:
        """x ← x + alpha · group's rate · vector."""
        rates = {id(p): group["lr"] for group in self.param_groups for p in group["params"]}
        members = self.members()
        for p, part in zip(members, unflatten(vector, [p.shape for p in members]), strict=True):
            p.add_(part, alpha=alpha * rates[id(p)])

    def _keep(self, s: Tensor, y: Tensor) -> None:
        """Keep a pair, damp it, or skip it."""
        group, memory = self.param_groups[0], self.memory
        along, length = float(s @ y), float(s.norm() * y.norm())
        if group["powell"] and "y" in memory:
            last_s, last_y = memory["s"][-1], memory["y"][-1]
            bent = s * float(last_y @ last_y) / float(last_s @ last_y)  # B₀ s
            square = float(s @ bent)
            if square > 0 and not along >= 0.2 * square:
                theta = 0.8 * square / (square - along)
                y, along = theta * y + (1 - theta) * bent, 0.2 * square
                length = float(s.norm() * y.norm())
                memory["damped"] = memory.get("damped", 0) + 1
        if not along > group["least"] * length or not bool(torch.isfinite(y).all()):
            memory["skipped"] = memory.get("skipped", 0) + 1
            return
        for name, row in (("s", s), ("y", y)):
            rows = torch.cat([memory[name], row[None]]) if name in memory else row[None].clone()
            memory[name] = rows[-group["history"] :].clone()

    def _inverse_times(self, g: Tensor, averaged: bool) -> Tensor:
        """B⁻¹ g by the two loops; g itself where there are no pairs."""
        memory = self.memory
        if "s" not in memory:
            return g
        s, y = memory["s"], memory["y"]
        rho = 1 / (s * y).sum(1)
        scales = (s * y).sum(1) / y.square().sum(1)
        q, alphas = g, []
        for i in reversed(range(len(s))):
            alphas.append(rho[i] * (s[i] @ q))
            q = q - alphas[-1] * y[i]
        q = q * (scales.mean() if averaged else scales[-1])
        for i, alpha in zip(range(len(s)), reversed(alphas), strict=True):
            q = q + (alpha - rho[i] * (y[i] @ q)) * s[i]
        return q


class OnlineLBFGS(CurvaturePairs):
    """Online L-BFGS: two gradients of the same batch a step.

    Args:
        params: parameters or groups, of one type and device.
        lr: η; 0.1: the paper multiplies full steps by 0.1 at batches of 1.
        history: pairs kept; 10.
        damping: λ ≥ 0 in y; 0.1 makes steps shorter where the batch sees no curvature.
        least: share of ‖s‖ ‖y‖ that sᵀy must exceed.
        powell: damp pairs of little or negative curvature instead of skipping them.

    Memory: 2 · history + 3 numbers a parameter. Cost: two gradients and 4 · history · n.

    Raises:
        RuntimeError: without a closure; ``NonFiniteStep``, also where the loss is not
            finite after the step, which is then taken back.
    """

    needs = frozenset({"closure"})

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        history: int = 10,
        damping: float = 0.1,
        least: float = 1e-6,
        powell: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "history": history, "damping": damping, "least": least, "powell": powell})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss before it."""
        closure = self.closure_with(closure)
        loss = self.filled(closure)
        g = self._gradients()
        before = flatten(self.members())
        self._add(self._inverse_times(g, averaged=True), -1.0)
        after = _after(self, closure)
        s = flatten(self.members()) - before
        if bool(s.any()):
            self._keep(s, after - g + self.param_groups[0]["damping"] * s)
        return loss


def _after(optimizer: CurvaturePairs, closure: Callable[[], Any]) -> Tensor:
    """The gradient after the step, on the same batch; the step is taken back where it is not finite."""
    good = optimizer._good
    optimizer.filled(closure)  # raises and takes the step back if the loss is not finite
    optimizer._good = good
    return optimizer._gradients()


class SQN(CurvaturePairs):
    """Byrd's stochastic quasi-Newton method: pairs from Hessian-vector products at averaged iterates.

    Args:
        params: parameters or groups, of one type and device.
        lr: η; 0.1.
        history: pairs kept; 10.
        interval: L, steps between pairs; 10 (the paper's 10 or 20).
        damping: λ ≥ 0 in y.
        curvature: "hessian" (the paper's), or "ggn" (positive semi-definite for usual losses; no pair is skipped).
        least, powell: as in :class:`OnlineLBFGS`.

    The products are on the batch at hand when they are due (the paper draws a larger one). Memory: 2 · history + 4
    numbers a parameter. Cost: one gradient and 4 · history · n, and about 4 more gradients every L steps.

    Raises:
        RuntimeError: without a :class:`~trainwell.optim.closure.Closure`;
            ``NonFiniteStep``.
    """

    needs = frozenset({"closure"})
    asks = "loss"

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        *,
        history: int = 10,
        interval: int = 10,
        damping: float = 0.0,
        curvature: str = "hessian",
        least: float = 1e-6,
        powell: bool = False,
    ) -> None:
        if interval < 1 or curvature not in ("hessian", "ggn"):
            raise ValueError(f"SQN: interval={interval} must be 1 or more, curvature={curvature!r} hessian or ggn.")
        if curvature == "ggn":
            self.needs, self.asks = frozenset({"outputs"}), "outputs"
        super().__init__(
            params,
            {"lr": lr, "history": history, "interval": interval, "damping": damping, "curvature": curvature,
             "least": least, "powell": powell},
        )  # fmt: skip

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step; returns the loss before it."""
        closure = self.closure_with(closure)
        loss = self.filled(closure)
        memory, interval = self.memory, self.param_groups[0]["interval"]
        g, x = self._gradients(), flatten(self.members())
        k = memory["step"] = memory.get("step", 0) + 1
        memory["sum"] = memory["sum"] + x if "sum" in memory else x.clone()
        if k % interval == 0:
            mean = memory.pop("sum") / interval
            if "mean" in memory and bool((mean != memory["mean"]).any()):
                s = mean - memory["mean"]
                self._keep(s, self._bent(closure, s, mean, x) + self.param_groups[0]["damping"] * s)
            memory["mean"] = mean
        self._add(self._inverse_times(g, averaged=False) if k > 2 * interval else g, -1.0)
        return loss

    def _bent(self, closure: Any, s: Tensor, mean: Tensor, x: Tensor) -> Tensor:
        """∇²F(w̄; batch) s; the parameters are at x again afterwards, to the bit."""
        members = self.members()
        shapes = [p.shape for p in members]
        try:
            for p, part in zip(members, unflatten(mean, shapes), strict=True):
                p.copy_(part)
            kind = GaussNewton if self.param_groups[0]["curvature"] == "ggn" else Hessian
            return kind.of_closure(closure, members) @ s
        finally:
            for p, part in zip(members, unflatten(x, shapes), strict=True):
                p.copy_(part)
