"""Minimization under general constraints, in any PyTorch loop: penalty, augmented Lagrangian, primal–dual.

    min f(x)   subject to   g(x) ≤ 0,   h(x) = 0

What is minimized in x, and what happens to the multipliers λ ≥ 0 (of g), ν (of h) and the weight ρ in between:

    penalty      f + ½ρ(‖g₊‖² + ‖h‖²)                                            ρ ← growth · ρ
    augmented    f + (‖(λ + ρg)₊‖² − ‖λ‖²)/(2ρ) + νᵀh + ½ρ‖h‖²                    λ ← (λ + ρg)₊,  ν ← ν + ρh
    primal_dual  f + λᵀg + νᵀh                                                    λ ← (λ + ρg)₊,  ν ← ν + ρh

The penalty's minimum violates the constraints by about 1/ρ, and its condition number grows with ρ; ρg₊ and ρh estimate
the multipliers. The augmented Lagrangian is exact at finite ρ, which grows only while the violation does not fall. The
primal–dual method takes one step in x between updates (ρ is its rate in λ); it converges for strictly convex f and
small rates, and circles for bilinear problems such as linear programs.

The package cooper-optim 1.0.1 does the last two and more (typed, MIT, needs torch alone, 80 ms to import); from one
start its 200th step has the same x and multipliers as these, to 5e-8 (its multipliers are float32). It takes the
step of the loop over, ``optimizer.roll(...)`` on a class that owns the problem; here the loss is a tensor and the step
stays the loop's, with its accumulation, hooks and checkpoints.
Source: Nocedal & Wright 2006, "Numerical Optimization", §17.1 and §17.3; Bertsekas 1999, §4.2.1 (inequalities, and when
ρ grows); Arrow, Hurwicz & Uzawa 1958 (primal–dual); deck M, constrained optimization.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainwell.errors import InputError

CONSTRAINED = ("penalty", "augmented", "primal_dual")
GROWTH = 10.0  # of ρ, Nocedal & Wright's example in §17.1
ENOUGH = 0.25  # ρ stays while the violation falls to this share of what it was, as in Bertsekas

Constraints = Callable[[Tensor], Tensor]


class Multipliers(nn.Module):
    """Multipliers of the constraints of a problem, and the function to minimize while they are held.

    Args:
        inequalities: number of components of g.
        equalities: number of components of h.
        method: one of ``CONSTRAINED``.
        rho: ρ > 0; for ``primal_dual`` the rate of the multipliers.
        growth: factor on ρ, ≥ 1.
        floor: a violation up to this is none: ρ of ``augmented`` stays, for rounding would make it grow for ever.
        dtype: of the multipliers; the default one if None.

    Raises:
        InputError: for an unknown method, ρ or growth out of range, or no constraints.

    Example:
        >>> constraint = Multipliers(1, method="primal_dual", rho=0.5)
        >>> constraint.update_(torch.tensor([2.0]))  # λ ← (0 + 0.5 · 2)₊
        >>> constraint(torch.tensor(3.0), torch.tensor([2.0]))  # f + λg
        tensor(5.)
    """

    inequality: Tensor
    equality: Tensor
    rho: Tensor
    violation: Tensor

    def __init__(
        self,
        inequalities: int = 0,
        equalities: int = 0,
        *,
        method: str = "augmented",
        rho: float = 1.0,
        growth: float = GROWTH,
        floor: float = 0.0,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if method not in CONSTRAINED:
            raise InputError(
                f"Multipliers: no method is called {method!r}.", f"Choose one of {', '.join(CONSTRAINED)}."
            )
        if not 0 < rho < float("inf") or not 1 <= growth < float("inf"):
            raise InputError(f"Multipliers: rho is {rho} and growth {growth}.", "Give rho > 0 and growth ≥ 1.")
        if inequalities < 0 or equalities < 0 or inequalities + equalities == 0:
            raise InputError(
                f"Multipliers: {inequalities} inequalities and {equalities} equalities.",
                "Give at least one constraint.",
            )
        self.method, self.growth, self.floor = method, growth, floor
        self.register_buffer("inequality", torch.zeros(inequalities, dtype=dtype))  # λ
        self.register_buffer("equality", torch.zeros(equalities, dtype=dtype))  # ν
        self.register_buffer("rho", torch.tensor(rho, dtype=dtype))
        self.register_buffer("violation", torch.tensor(torch.inf, dtype=dtype))  # at the last update

    def forward(self, objective: Tensor, g: Tensor | None = None, h: Tensor | None = None) -> Tensor:
        """What to minimize, a scalar.

        Args:
            objective: f, scalar.
            g: values of the inequality constraints, shape (inequalities,), satisfied where ≤ 0; None if there are none.
            h: values of the equality constraints, shape (equalities,), satisfied where 0.

        Raises:
            InputError: for another number of values.
        """
        g, h = self._checked(g, self.inequality, "g"), self._checked(h, self.equality, "h")
        if self.method == "penalty":
            return objective + 0.5 * self.rho * (g.clamp_min(0.0).square().sum() + h.square().sum())
        if self.method == "primal_dual":
            return objective + (self.inequality * g).sum() + (self.equality * h).sum()
        shifted = (self.inequality + self.rho * g).clamp_min(0.0)
        of_g = (shifted.square() - self.inequality.square()).sum() / (2 * self.rho)
        return objective + of_g + (self.equality * h).sum() + 0.5 * self.rho * h.square().sum()

    @torch.no_grad()
    def update_(self, g: Tensor | None = None, h: Tensor | None = None) -> None:
        """Change multipliers and ρ after x was improved; g and h are the constraints' values there.

        Raises:
            InputError: for another number of values.
        """
        g, h = self._checked(g, self.inequality, "g"), self._checked(h, self.equality, "h")
        worst = torch.cat([g.clamp_min(0.0), h.abs()]).amax().to(self.violation)
        if self.method == "penalty":
            self.inequality.copy_(self.rho * g.clamp_min(0.0))
            self.equality.copy_(self.rho * h)
            self.rho.mul_(self.growth)
        else:
            self.inequality.copy_((self.inequality + self.rho * g).clamp_min(0.0))
            self.equality.add_((self.rho * h).to(self.equality))
        if self.method == "augmented":
            enough = torch.clamp(ENOUGH * self.violation, min=self.floor)
            self.rho.mul_(torch.where(worst <= enough, 1.0, self.growth))
        self.violation.copy_(worst)

    def _checked(self, values: Tensor | None, multipliers: Tensor, name: str) -> Tensor:
        values = multipliers.new_zeros(0) if values is None else values
        if values.shape != multipliers.shape:
            raise InputError(
                f"Multipliers: {name} has shape {tuple(values.shape)} for {len(multipliers)} constraints.",
                f"Give ({len(multipliers)},).",
            )
        return values

    def extra_repr(self) -> str:
        return f"{self.method}, {len(self.inequality)} inequalities, {len(self.equality)} equalities"


@dataclass(frozen=True)
class Constrained:
    """Result of :func:`minimize_constrained`.

    Args:
        x: the point found.
        value: f(x).
        violation: largest of g₊ and |h|, in their units.
        stationarity: largest entry of |∇f + Σλ∇g + Σν∇h|: 0 at a point of Karush, Kuhn and Tucker.
        inequality: λ.
        equality: ν.
        rounds: updates of the multipliers.
        converged: whether violation and stationarity came below the tolerance.
    """

    x: Tensor
    value: float
    violation: float
    stationarity: float
    inequality: Tensor
    equality: Tensor
    rounds: int
    converged: bool


def minimize_constrained(
    function: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    inequality: Constraints | None = None,
    equality: Constraints | None = None,
    method: str = "augmented",
    rho: float = 1.0,
    rounds: int | None = None,
    lr: float = 0.01,
    tolerance: float = 1e-5,
) -> Constrained:
    """Minimize a smooth function of one tensor under constraints.

    Between updates ``penalty`` and ``augmented`` minimize with L-BFGS, ``primal_dual`` takes one gradient step.

    Args:
        function: f, maps x to a scalar.
        start: first x, any shape, need not be feasible.
        inequality: g, maps x to (m,), ≤ 0 where satisfied.
        equality: h, maps x to (p,), 0 where satisfied.
        method: one of ``CONSTRAINED``.
        rho: first ρ; for ``primal_dual`` the rate of the multipliers.
        rounds: most updates; 40, or 20 000 for ``primal_dual``, if None.
        lr: rate of ``primal_dual`` in x.
        tolerance: on violation and stationarity, in their own units; L-BFGS's line search ends where f no longer
            falls in its last digits, with a gradient of about √(eps · |f| · ρ), 1e-6 in float64 at ρ = 1000.

    Raises:
        InputError: for an unknown method, no constraints, or constraints that are not vectors.
    """
    x = start.detach().clone().requires_grad_()

    def values() -> tuple[Tensor | None, Tensor | None]:
        return inequality(x) if inequality else None, equality(x) if equality else None

    multipliers = Multipliers(*map(_length, values()), method=method, rho=rho, floor=tolerance, dtype=x.dtype).to(
        x.device
    )

    def objective() -> Tensor:
        return multipliers(function(x), *values())

    rounds = rounds or (20_000 if method == "primal_dual" else 40)
    done, stationarity, violation = 0, float("inf"), float("inf")
    while done < rounds and max(stationarity, violation) > tolerance:
        done += 1
        if method == "primal_dual":
            (slope,) = torch.autograd.grad(objective(), x)
            with torch.no_grad():
                x -= lr * slope
        else:
            _descend(x, objective)
        with torch.no_grad():
            g, h = values()
        multipliers.update_(g, h)
        stationarity, violation = _residual(x, function, values, multipliers), float(multipliers.violation)
    return Constrained(
        x.detach(),
        float(function(x).detach()),
        violation,
        stationarity,
        multipliers.inequality.clone(),
        multipliers.equality.clone(),
        done,
        max(stationarity, violation) <= tolerance,
    )


def _descend(x: Tensor, objective: Callable[[], Tensor]) -> None:
    optimizer = torch.optim.LBFGS(
        [x], max_iter=500, tolerance_grad=1e-9, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = objective()
        value.backward()
        return value

    optimizer.step(closure)  # type: ignore[arg-type, unused-ignore]


def _residual(
    x: Tensor,
    function: Callable[[Tensor], Tensor],
    values: Callable[[], tuple[Tensor | None, Tensor | None]],
    multipliers: Multipliers,
) -> float:
    """Largest entry of the Lagrangian's gradient by x."""
    g, h = values()
    lagrangian = function(x)
    for constraint, factor in ((g, multipliers.inequality), (h, multipliers.equality)):
        if constraint is not None:
            lagrangian = lagrangian + (factor * constraint).sum()
    return float(torch.autograd.grad(lagrangian, x)[0].abs().max())


def _length(values: Tensor | None) -> int:
    if values is None:
        return 0
    if values.dim() != 1:
        raise InputError(
            f"minimize_constrained: a constraint gave shape {tuple(values.shape)}.", "Return a vector, one value each."
        )
    return len(values)
