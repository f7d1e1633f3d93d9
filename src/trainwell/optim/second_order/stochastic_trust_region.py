"""Stochastic trust region: a batch's quadratic model, believed within a radius that follows how well it predicts.

    p ≈ argmin gᵀp + ½ pᵀBp  subject to ‖p‖ ≤ Δ         Steihaug's conjugate gradients, at most ``turns``
    ρ = (L(x) − L(x + p)) / (m(0) − m(p))              both on the batch

ρ ≥ ``accept``: x ← x + p, else x stays (to the bit) and the step counts in ``rejected``. ρ < ¼: Δ ← Δ/2; ρ > ¾ with p
on the border: Δ ← 2Δ; within [``smallest``, ``largest``] times its first value, so that one bad batch cannot end the
training. Negative curvature is followed to the border (``negative`` counts). The rate scales the first radius: Δ₀ = η,
and η/η₀ thereafter multiplies Δ, so that schedules shrink the region.
Source: deck M (Curtis & Shi 2020, arXiv:1911.06920, is cited there: O10 of the theory); Steihaug 1983; Blanchet et al.
2019, arXiv:1609.07428.
"""

from collections.abc import Callable
from typing import Any

import torch

from trainwell.curvature.flat import flatten
from trainwell.optim.deterministic.trust_region_rule import steihaug
from trainwell.optim.second_order.batch_model import CURVATURES, BatchModel
from trainwell.optim.second_order.guarded import GuardedOptimizer, one_kind
from trainwell.optim.second_order.subsampled_newton import write


class StochasticTrustRegion(GuardedOptimizer):
    """Trust region on batches.

    Args:
        params: parameters or groups, of one type and device.
        lr: η: the first radius, in the unit of the parameters.
        curvature: "ggn" or "hessian".
        turns: of conjugate gradients at most; 10.
        accept: least ρ of a step that is taken; 0.1.
        smallest, largest: of the radius, in multiples of η.

    Memory: 8 numbers a parameter while stepping (1 kept), and the graph of a backward pass. Cost: about 3 + 3 · turns
    gradients.

    Raises:
        ValueError: for an option out of range.
        RuntimeError: without a :class:`~trainwell.optim.closure.Closure`;
            ``NonFiniteStep``.
    """

    needs = frozenset({"outputs"})
    asks = "outputs"

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        *,
        curvature: str = "ggn",
        turns: int = 10,
        accept: float = 0.1,
        smallest: float = 1e-3,
        largest: float = 1e3,
    ) -> None:
        if curvature not in CURVATURES or turns < 1 or not 0 <= accept < 0.25 or not 0 < smallest <= 1 <= largest:
            raise ValueError(
                f"StochasticTrustRegion: curvature={curvature!r} must be one of {', '.join(CURVATURES)}, turns={turns} "
                f"1 or more, accept={accept} in [0, ¼), smallest={smallest} in (0, 1] and largest={largest} above."
            )
        super().__init__(
            params,
            {"lr": lr, "curvature": curvature, "turns": turns, "accept": accept, "smallest": smallest,
             "largest": largest},
        )  # fmt: skip
        one_kind(self, self.members())

    @property
    def memory(self) -> dict[str, Any]:
        """The radius in multiples of η, and counts."""
        return self.of_all(self.members()[0])

    @property
    def radius(self) -> float:
        """Δ."""
        return float(self.memory.get("radius", 1.0)) * float(self.param_groups[0]["lr"])

    @property
    def rejected(self) -> int:
        """Steps that were not taken."""
        return int(self.memory.get("rejected", 0))

    @property
    def negative(self) -> int:
        """Steps that met negative curvature."""
        return int(self.memory.get("negative", 0))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Make one step, or none; returns the loss before it."""
        closure = self.closure_with(closure)
        group, memory, members = self.param_groups[0], self.memory, self.members()
        model = BatchModel(closure, members, group["curvature"])
        self.check(model.loss, [model.gradient])
        if not bool(model.gradient.any()) or self.radius == 0:
            return model.loss
        radius, start = self.radius, flatten(members)
        p, negative = steihaug(model.product(0.0), model.gradient, radius, group["turns"])
        memory["negative"] = self.negative + int(negative)
        predicted = model.decrease(p)  # before the move: the graph reads the parameters
        write(members, start + p)
        noise = 4 * torch.finfo(p.dtype).eps * abs(float(model.loss))
        ratio = (float(model.loss) - model.evaluate() + noise) / (predicted + noise)
        share = memory.get("radius", 1.0)
        if not ratio >= 0.25:  # a ratio that is NaN, too
            share = max(0.5 * share, group["smallest"])
        elif ratio > 0.75 and float(p.norm()) >= 0.999 * radius:
            share = min(2 * share, group["largest"])
        memory["radius"] = share
        if not ratio >= group["accept"]:
            write(members, start)
            memory["rejected"] = self.rejected + 1
        return model.loss
