"""Full-batch methods as torch optimizers: one step of a flat-vector rule on the parameters of a network.

``step(closure)`` evaluates the loss as often as the rule asks and returns the loss before the move. It is meant for
closures that are the same function from step to step (all samples, or one large batch): conjugate directions and
radii say nothing of another batch's loss. Within a step the random masks of dropout are the same in every evaluation;
the running statistics of batch normalization are updated in each.

All parameters are one vector, so they share one floating type and device. Rates of groups are relative: see
``closure_problem``. What the rule keeps (flat vectors in float32 or better, numbers) lies under
``state[first parameter]["memory"]``. Where a rule cannot take a step (a line search finds nothing lower, a direction
does not descend), the parameters stay, its memory is dropped, so that the next step starts afresh, and ``stalled`` says
why. Decks M and K.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from trainwell.optim.deterministic.closure_problem import ClosureProblem
from trainwell.optim.deterministic.conjugate_gradient import BETAS, ConjugateGradientRule
from trainwell.optim.deterministic.damped_gauss_newton import DampedGaussNewtonRule
from trainwell.optim.deterministic.flat_problem import Evaluations, Point, Problem, Stalled
from trainwell.optim.deterministic.quasi_newton import LBFGSRule
from trainwell.optim.deterministic.truncated_newton import NewtonCGRule
from trainwell.optim.deterministic.trust_region_rule import TrustRegionRule
from trainwell.optim.second_order.guarded import GuardedOptimizer, one_kind

Rule = Callable[[Problem, Point, dict[str, Any]], Point]


def moved(value: Any, device: torch.device) -> Any:
    """A copy of nested lists and dictionaries with every tensor on the device, in its own type."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, Mapping):
        return {key: moved(item, device) for key, item in value.items()}
    return [moved(item, device) for item in value] if isinstance(value, list) else copy.copy(value)


class FullBatch(GuardedOptimizer):
    """Base: evaluates the closure on a flat vector, keeps the rule's memory, puts the parameters back.

    Attributes:
        stalled: why the last step was none; "" after a step.
        evaluations: what the last step computed.

    Raises:
        ValueError: for parameters of several types or devices, or an option out of range.
        RuntimeError: from a step without a closure.
        NonFiniteStep: from a step where the loss is not finite before it moves.
    """

    needs: frozenset[str] = frozenset({"closure", "outputs", "full_batch"})
    asks: str = "loss"

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)
        one_kind(self, self.members(trainable=False))
        self.stalled = ""
        self.evaluations = Evaluations()

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        """The rule of these options."""
        raise NotImplementedError

    @torch.no_grad()
    def step(self, closure: Any = None) -> Tensor:  # type: ignore[override]
        """Take one step; returns the loss before it.

        Args:
            closure: a :class:`~trainwell.optim.Closure`; nonlinear conjugate gradients and L-BFGS take any closure that
                fills gradients and returns the loss.
        """
        given = self.closure_with(closure)
        members = [(p, group["lr"]) for group in self.param_groups for p in group["params"] if p.requires_grad]
        rate = max((lr for _, lr in members), default=0.0)
        params = [p for p, _ in members]
        problem = ClosureProblem(given, params, [lr / rate if rate else 0.0 for _, lr in members])
        loss = self.filled(given).detach().clone()
        point = problem.first(loss)
        self.stalled = ""
        if rate == 0 or not bool(point.gradient.any()):
            return loss
        memory = self.of_all(params[0]).setdefault("memory", {})
        try:
            found = self.rule(self.param_groups[0], rate)(problem, point, memory)
            problem.write(found.x)
        except Stalled as reason:
            problem.restore()
            memory.clear()
            self.stalled = str(reason)
        except BaseException:
            problem.restore()
            raise
        finally:
            problem.leave()
        self.evaluations = problem.counts
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore groups and state; vectors keep the type they were saved with."""
        super().load_state_dict(state_dict)
        ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        for i, p in zip(ids, self.members(trainable=False), strict=True):
            if "memory" in state_dict["state"].get(i, {}):
                self.state[p]["memory"] = moved(state_dict["state"][i]["memory"], p.device)


class NonlinearCG(FullBatch):
    """Nonlinear conjugate gradients with strong Wolfe steps; see ``conjugate_gradient``.

    Args:
        params: parameters, or groups of them.
        lr: factor on the line search's first trial step; 1.
        formula: of β; ``fr``, ``pr+``, ``hs`` or ``dy``.
        c2: flatness of the line search.
    """

    needs: frozenset[str] = frozenset({"closure", "full_batch"})
    asks: str = ""

    def __init__(self, params: Any, lr: float = 1.0, formula: str = "pr+", c2: float = 0.1) -> None:
        if formula not in BETAS:
            raise ValueError(f"NonlinearCG: no formula is called {formula!r}. Choose one of {', '.join(BETAS)}.")
        super().__init__(params, {"lr": lr, "formula": formula, "c2": c2})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return ConjugateGradientRule(group["formula"], rate, group["c2"])


class LBFGS(FullBatch):
    """L-BFGS with strong Wolfe steps, one iteration a step; see ``quasi_newton``.

    The rule of ``torch.optim.LBFGS(max_iter=1, line_search_fn="strong_wolfe")``, but with groups, a line search that
    shrinks out of non-finite losses, and parameters put back where nothing lower is found.

    Args:
        params: parameters, or groups of them.
        lr: the line search's first trial step; 1.
        pairs: m.
    """

    needs: frozenset[str] = frozenset({"closure", "full_batch"})
    asks: str = ""

    def __init__(self, params: Any, lr: float = 1.0, pairs: int = 10) -> None:
        super().__init__(params, {"lr": lr, "pairs": pairs})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return LBFGSRule(group["pairs"], rate=rate)


class NewtonCG(FullBatch):
    """Line-search Newton–CG; see ``truncated_newton``.

    Args:
        params: parameters, or groups of them.
        lr: the line search's first trial step; 1, Newton's.
        turns: inner turns at most, two gradients each.
        damping: added to the Hessian's diagonal.
    """

    def __init__(self, params: Any, lr: float = 1.0, turns: int = 50, damping: float = 0.0) -> None:
        super().__init__(params, {"lr": lr, "turns": turns, "damping": damping})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return NewtonCGRule(rate, group["turns"], group["damping"])


class GaussNewton(FullBatch):
    """Gauss–Newton with Armijo steps; see ``damped_gauss_newton``.

    Args:
        params: parameters, or groups of them.
        lr: the line search's first trial step; 1.
        damping: λ.
        turns: inner turns at most.
    """

    asks: str = "outputs"

    def __init__(self, params: Any, lr: float = 1.0, damping: float = 1e-3, turns: int = 50) -> None:
        super().__init__(params, {"lr": lr, "damping": damping, "turns": turns})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return DampedGaussNewtonRule(rate, group["damping"], turns=group["turns"])


class LevenbergMarquardt(FullBatch):
    """Gauss–Newton whose damping follows how well it predicts; see ``damped_gauss_newton``.

    Args:
        params: parameters, or groups of them.
        lr: factor on the step; 1.
        damping: the first λ.
        turns: inner turns at most.
    """

    asks: str = "outputs"

    def __init__(self, params: Any, lr: float = 1.0, damping: float = 0.1, turns: int = 50) -> None:
        super().__init__(params, {"lr": lr, "damping": damping, "turns": turns})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return DampedGaussNewtonRule(rate, group["damping"], adapts=True, turns=group["turns"])


class TrustRegion(FullBatch):
    """Trust region by Steihaug's conjugate gradients; see ``trust_region_rule``.

    Args:
        params: parameters, or groups of them.
        lr: the first radius, in the parameters' unit; 1. Later steps take it from the ratio test alone.
        turns: inner turns at most.
    """

    def __init__(self, params: Any, lr: float = 1.0, turns: int = 50) -> None:
        super().__init__(params, {"lr": lr, "turns": turns})

    def rule(self, group: dict[str, Any], rate: float) -> Rule:
        return TrustRegionRule(radius=rate, turns=group["turns"])
