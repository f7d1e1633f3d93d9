"""Stochastic line search: Armijo's condition on the batch at hand.

    x⁺ = x − η g,   g = ∇f_B(x);    the first η of η₀, βη₀, β²η₀, … with  f_B(x⁺) ≤ f_B(x) − c η ‖g‖²

The first trial η₀ is, by ``reset``: "grow" γ η_{t−1} (γ = 2^{B/N}), "keep" η_{t−1}, "max" η_max; never above η_max.
It converges where the model interpolates (every batch reaches its least loss at one point). Where labels are noisy the
batch's own condition allows steps that raise the full loss: on one sample ½(xᵀw − y)² it accepts up to 2(1 − c)/‖x‖².
Deck M asks "Shall we do it for SGD? No, but why?": the errors of F and ∇F. The paper: with interpolation, yes.
Source: deck M, line search; Armijo 1966; Vaswani et al. 2019, arXiv:1905.09997 (c = 0.1, β = 0.9, γ = 2).
"""

import math
import warnings
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from trainwell.optim.closure import Closure
from trainwell.optim.rules.gradient_rule import need_closure, with_gradient
from trainwell.optim.second_order.guarded import NonFiniteStep
from trainwell.optim.step_length.polyak_step import rate_shares, squared_norm


class StochasticLineSearch(Optimizer):
    """See the module's text. One pass and one to three forward passes a step; a copy of the parameters while it runs.

    All evaluations of a step see the same random numbers (dropout draws the same masks), and the generators go on as
    after the first one. Batch normalization's running statistics are updated by every evaluation. Each process of a
    distributed run would find its own step: it is for one process. bfloat16 parameters round steps below 2⁻⁹ of the
    weight away; the condition is checked on what was really reached.

    Args:
        params: parameters or groups. A group of lower rate moves by its share r of the largest rate: along −r g, and
            Σ r ‖g‖² takes the place of ‖g‖².
        lr: η_max, the largest step. 1 is the paper's first trial.
        c: share of the linear decrease that is asked for, in (0, 1); the paper's 0.1.
        shrink: β, in (0, 1); the paper's 0.9. 0.7 here: a third of the evaluations.
        reset: "grow", "keep" or "max".
        growth: γ of "grow"; 2^{1/500}, the authors' for 500 batches an epoch.
        most: trials a step; then the parameters stay.

    Raises:
        RuntimeError: without a closure, for sparse gradients, a loss or gradient that is not finite; the parameters
            have not moved then.
        ValueError: for an option out of its range.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"closure"})

    def __init__(
        self,
        params: Any,
        lr: float = 1.0,
        c: float = 0.1,
        shrink: float = 0.7,
        reset: str = "grow",
        growth: float = 2 ** (1 / 500),
        most: int = 60,
    ) -> None:
        if not (lr >= 0 and 0 < c < 1 and 0 < shrink < 1 and growth >= 1 and most >= 1):
            raise ValueError(
                f"StochasticLineSearch: lr={lr} must be 0 or more, c={c} and shrink={shrink} in (0, 1), "
                f"growth={growth} and most={most} at least 1."
            )
        if reset not in ("grow", "keep", "max"):
            raise ValueError(f"StochasticLineSearch: reset={reset!r} must be grow, keep or max.")
        given = {"lr": lr, "c": c, "shrink": shrink, "reset": reset, "growth": growth, "most": most}
        super().__init__(params, {**given, "last_step": math.inf, "trials": 0, "refused": 0})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; returns the loss before it. ``param_groups[0]["last_step"]`` is its length (0: none was found)."""
        need_closure(self, closure)
        assert closure is not None
        members = [p for group in self.param_groups for p in group["params"]]
        before = random_states(members)
        with torch.enable_grad():
            loss = closure()
        after = random_states(members)
        largest, shares = rate_shares(self)
        weighted = [(p, r) for group, r in shares for p in with_gradient(self, group["params"])]
        moving = [p for p, _ in weighted]
        gradients = [p.grad.clone() for p in moving if p.grad is not None]  # a plain closure overwrites them
        value, square = float(loss), squared_norm(weighted)
        if not (math.isfinite(value) and math.isfinite(square)):
            raise NonFiniteStep(
                f"StochasticLineSearch: the loss is {value:.6g} and the gradient's squared norm {square:.6g} before "
                "any step; the parameters stay where they were. Look at the batch and the start.",
                value,
            )
        if square == 0.0 or largest == 0.0:
            return loss

        def evaluate() -> float:
            set_random_states(members, before)
            with torch.set_grad_enabled(not isinstance(closure, Closure)):
                return float(closure.loss() if isinstance(closure, Closure) else closure())

        try:
            directions = [(g, r) for g, (_, r) in zip(gradients, weighted, strict=True)]
            self._search(moving, directions, largest, value, square, evaluate)
        finally:
            set_random_states(members, after)
            for p, g in zip(moving, gradients, strict=True):
                p.grad = g
        return loss

    def _search(
        self,
        moving: list[Tensor],
        directions: list[tuple[Tensor, float]],
        largest: float,
        value: float,
        square: float,
        evaluate: Callable[[], float],
    ) -> None:
        head, start = self.param_groups[0], [p.clone() for p in moving]
        length = first = self._first(head, largest)
        try:
            for _ in range(head["most"]):
                for p, x, (g, r) in zip(moving, start, directions, strict=True):
                    p.copy_(x).sub_(g, alpha=length * r)
                head["trials"] += 1
                if evaluate() <= value - head["c"] * length * square:  # a loss that is not finite is refused as well
                    head["last_step"] = length
                    return
                length *= head["shrink"]
        except BaseException:
            restore(moving, start)
            raise
        restore(moving, start)
        head["refused"] += 1
        head["last_step"] = first
        precision = 10 * max(torch.finfo(p.dtype).eps for p in moving)
        size = float(torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(x.float()) for x in start])))
        if head["c"] * first * square <= precision * abs(value) or first * square**0.5 <= precision * size:
            return  # all there is to gain lies below the rounding of the loss or of the parameters
        warnings.warn(
            f"StochasticLineSearch: no step from {first:.3g} down to {length:.3g} lowers the batch's loss {value:.6g} "
            f"by c η ‖g‖² (‖g‖² = {square:.3g}): −g is no descent direction of what the closure returns, or the loss "
            "is not the same twice. The parameters stay where they were.",
            RuntimeWarning,
            stacklevel=3,
        )

    @staticmethod
    def _first(head: dict[str, Any], largest: float) -> float:
        if head["reset"] == "max":
            return largest
        return float(min(largest, head["last_step"] * (head["growth"] if head["reset"] == "grow" else 1.0)))


def restore(parameters: list[Tensor], values: list[Tensor]) -> None:
    """Put parameters back, bit for bit."""
    for p, x in zip(parameters, values, strict=True):
        p.copy_(x)


def random_states(parameters: list[Tensor]) -> list[Tensor]:
    """States of the generators that a forward pass draws from: the CPU's, then those of the parameters' devices."""
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state(i) for i in _cuda(parameters))]


def set_random_states(parameters: list[Tensor], states: list[Tensor]) -> None:
    """Put the generators back to what :func:`random_states` gave."""
    torch.set_rng_state(states[0])
    for i, state in zip(_cuda(parameters), states[1:], strict=True):
        torch.cuda.set_rng_state(state, i)


def _cuda(parameters: list[Tensor]) -> list[int]:
    return sorted({p.device.index or 0 for p in parameters if p.device.type == "cuda"})
