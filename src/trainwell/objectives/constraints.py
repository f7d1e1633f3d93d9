"""The constraints that a recipe puts on weights, by name, each kept by a projection after the optimizer's step.

``CONSTRAINTS[name].project(weight, limit)`` is the nearest tensor of the set, of the same shape; W is the weight
flattened to a matrix (out, rest), r the limit:

    max_norm            ‖row‖ ≤ r                          every unit's incoming weights
    l2_ball             ‖w‖₂ ≤ r                           of the whole weight
    l1_ball             Σ|w| ≤ r                           of the whole weight; sparse
    simplex             rows ≥ 0 with sum r
    box                 |w| ≤ r
    binary_box          |w| ≤ 1, times r                   of BinaryConnect's latent weights
    nonnegative         w ≥ 0                              r means nothing
    unit_spectral_norm  σ_max ≤ r                          singular values clipped
    orthogonal          W = r·Q, QᵀQ = I (or QQᵀ = I)      polar factor: all singular values r (also: stiefel)
    unit_columns        ‖column‖ = r                       what each input sends out; dictionaries

They act on the weights of :func:`trainwell.objectives.named_weights`: no biases, nothing of a norm, and no tensor of a
parametrized layer, which has its own constraint. The last three rows need a singular value decomposition or are sets
without convexity; their projection is a nearest point still. A set that the first weights are outside of is entered at
the first step, or at once by ``constrain_``. Momentum is left as it is, and may push against the boundary.
Sources: Srivastava et al. 2014, §5.1 (max-norm, 3 to 4); Courbariaux et al. 2015, §2.4 (clipping latent weights),
arXiv:1511.00363; deck M, projected gradient; Absil, Mahony & Sepulchre 2008, §4.1.1 (polar).
"""

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives import projections
from trainwell.objectives.stiefel import onto_stiefel
from trainwell.objectives.weights import named_weights

StepHook = Callable[[torch.optim.Optimizer, Any, Any], None]


@dataclass(frozen=True)
class Constraint:
    """A set of weights.

    Args:
        project: (weight, limit) → nearest tensor of the set.
        limit: default size of the set.
    """

    project: Callable[[Tensor, float], Tensor]
    limit: float = 1.0


def onto_nonnegative(weight: Tensor) -> Tensor:
    """Nearest tensor without negative entries."""
    return weight.clamp_min(0.0)


def onto_unit_columns(weight: Tensor, norm: float = 1.0) -> Tensor:
    """Nearest weight (out, ...) in which what each input sends out, w[:, j], has this norm; a column of zeros stays."""
    size = torch.linalg.vector_norm(weight, dim=0, keepdim=True)
    return torch.where(size > 0, weight * (norm / torch.where(size > 0, size, 1)), weight)


def _rows_onto_simplex(weight: Tensor, total: float) -> Tensor:
    return projections.onto_simplex(weight.flatten(1), total).view_as(weight)


CONSTRAINTS: dict[str, Constraint] = {
    "max_norm": Constraint(projections.onto_max_norm, 3.0),
    "l2_ball": Constraint(projections.onto_l2_ball),
    "l1_ball": Constraint(projections.onto_l1_ball),
    "simplex": Constraint(_rows_onto_simplex),
    "box": Constraint(lambda weight, limit: projections.onto_box(weight, -limit, limit)),
    "binary_box": Constraint(lambda weight, limit: projections.onto_box(weight, -limit, limit)),
    "nonnegative": Constraint(lambda weight, limit: onto_nonnegative(weight)),
    "unit_spectral_norm": Constraint(projections.onto_spectral_ball),
    "orthogonal": Constraint(onto_stiefel),
    "stiefel": Constraint(onto_stiefel),
    "unit_columns": Constraint(onto_unit_columns),
}
"""Name → set, its projection and default limit."""


@torch.no_grad()
def constrain_(model: nn.Module, name: str, limit: float | None = None, *, only: str = "*") -> list[str]:
    """Project the model's weights onto the set, in place.

    Args:
        model: any module; bfloat16 and float16 weights are projected in float32 and rounded.
        name: a key of ``CONSTRAINTS``.
        limit: size of the set, above 0; the set's default if None.
        only: pattern of the paths of weights, as ``"body.*"``; the last layer often is better left free.

    Returns:
        Paths of the weights that have been projected.

    Raises:
        InputError: for an unknown name, a limit that is not positive, or a pattern without any weight.
    """
    chosen, limit = _checked(name, limit)
    weights = {path: weight for path, weight in constrainable(model).items() if fnmatchcase(path, only)}
    if not weights:
        raise InputError(
            f"constrain_: no weight of the model is called {only!r}.",
            f"Its weights are {', '.join(constrainable(model)) or 'none'}.",
        )
    for weight in weights.values():
        low = weight.dtype in (torch.bfloat16, torch.float16)
        try:
            weight.copy_(chosen.project(weight.float() if low else weight.detach(), limit))
        except torch.linalg.LinAlgError:
            if weight.isfinite().all():
                raise  # a diverged weight has no nearest point; it is left for the loop that watches the loss
    return list(weights)


def constraint_hook(model: nn.Module, name: str, limit: float | None = None, *, only: str = "*") -> StepHook:
    """A hook for ``optimizer.register_step_post_hook`` that puts the weights back into the set after every step.

    Args:
        model, name, limit, only: see :func:`constrain_`.

    Raises:
        InputError: at once, as :func:`constrain_` does at every step.
    """
    _checked(name, limit)

    def hook(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        constrain_(model, name, limit, only=only)

    return hook


def constrainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """The weights that a projection may change: all but those behind a parametrization."""
    return {path: weight for path, weight in named_weights(model).items() if ".parametrizations." not in f".{path}"}


def _checked(name: str, limit: float | None) -> tuple[Constraint, float]:
    if name not in CONSTRAINTS:
        raise InputError(f"No constraint is called {name!r}.", f"Choose one of {', '.join(CONSTRAINTS)}.")
    limit = CONSTRAINTS[name].limit if limit is None else limit
    if not 0 < limit < float("inf"):
        raise InputError(f"Constraint {name}: the limit is {limit}.", "Give a positive number.")
    return CONSTRAINTS[name], limit
