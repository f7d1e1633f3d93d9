"""The largest stable learning rate of a method, from the curvature of the loss.

Near parameters w the loss is a quadratic with Hessian H, and on the eigenvector of λ a method with rate η is a linear
recurrence. It is stable iff η λ stays below a number c of the method alone (THEORY O06 for gradient descent):

| method | rule | stable for |
|---|---|---|
| gradient descent | w ← w − η g | η λ < 2 |
| heavy ball | m ← β m + g, w ← w − η m | η λ < 2 (1 + β) |
| Nesterov (torch's) | m ← β m + g, w ← w − η (g + β m) | η λ < 2 (1 + β)/(1 + 2β) |
| Adam | m ← β₁ m + (1−β₁) g, w ← w − η P⁻¹ m | η λ(P⁻¹H) < 2 (1 + β₁)/(1 − β₁): 38 for β₁ = 0.9 |
| RMSprop | w ← w − η P⁻¹ g | η λ(P⁻¹H) < 2 |

with P = diag(√v̂ + ε) taken as constant. The eigenvalues of P⁻¹H are those of P^(−1/2) H P^(−1/2), which is symmetric;
the largest, λ_max (the *sharpness*), comes from Lanczos.

Full-batch training does not stay away from the edge c/λ but sharpens until it reaches it and hovers there (Cohen et al.
2021, arXiv:2103.00065; Adam: Cohen et al. 2022, arXiv:2207.14484): the rate is the edge *at these parameters*,
beyond which the loss rises first; good rates often lie above that of the initial weights, where curvature falls as the
loss does. Mini-batch noise lowers the edge (O02). Decoupled weight decay λ_w adds λ_w P to H, which is not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.curvature import Congruent, Hessian, LinearOperator, MeanLoss, eigenpairs
from trainwell.errors import InputError

ADAPTIVE = ("adam", "adamw", "rmsprop")
MOMENTUM = {"sgd": 0.0, "heavy-ball": 0.9, "nesterov": 0.9, "adam": 0.9, "adamw": 0.9, "rmsprop": 0.0}
TOLERANCE = 1e-3  # a rate is never needed to more digits


@dataclass(frozen=True)
class CurvatureRate:
    """The edge of stability.

    Attributes:
        rate: c/λ_max, ∞ where no curvature is positive; of the unit loss⁻¹ · weight² (Adam: weight).
        sharpness: λ_max of H, or of P^(−1/2) H P^(−1/2).
        steps: Hessian products taken, each about 3 passes over the batches.
        error: bound on the error of ``sharpness``, absolute (the residual of Lanczos).
    """

    rate: float
    sharpness: float
    steps: int
    error: float


def stable_product(method: str, momentum: float | None = None) -> float:
    """c: the method is stable on a quadratic iff rate · λ < c.

    Args:
        method: "sgd", "heavy-ball", "nesterov", "adam", "adamw" or "rmsprop".
        momentum: β, or β₁ of Adam, in [0, 1); 0 for sgd and rmsprop, 0.9 for the others if None.

    Raises:
        InputError: for another method or momentum.

    Example:
        >>> round(stable_product("adam"), 9), stable_product("sgd")
        (38.0, 2.0)
    """
    if method not in MOMENTUM:
        raise InputError(f"curvature_rate: no edge is known for {method!r}.", f"Methods: {', '.join(MOMENTUM)}.")
    beta = MOMENTUM[method] if momentum is None else momentum
    if not 0 <= beta < 1:
        raise InputError(f"curvature_rate: momentum={beta}.", "Give 0 ≤ momentum < 1.")
    if method in ("adam", "adamw"):
        return 2 * (1 + beta) / (1 - beta)
    if method == "nesterov":
        return 2 * (1 + beta) / (1 + 2 * beta)
    return 2 * (1 + beta)


def curvature_rate(
    model: nn.Module,
    loss: Callable[[Any, Any], Tensor],
    batches: Any,
    method: str = "sgd",
    *,
    momentum: float | None = None,
    eps: float = 1e-8,
    second_moment: Tensor | None = None,
    tolerance: float = TOLERANCE,
    max_steps: int = 100,
    generator: torch.Generator | None = None,
) -> CurvatureRate:
    """The rate at which a method becomes unstable at the present parameters.

    Args:
        model, loss, batches: see :class:`~trainwell.curvature.MeanLoss`; the model is used as it is, and stays so.
        method: see the table above; "sgd" with ``momentum`` is the heavy ball.
        momentum: β, or β₁ of Adam; 0 for sgd and rmsprop, 0.9 for the others if None.
        eps: ε of the adaptive methods (1e-8: torch's).
        second_moment: v̂, shape (n,), of the adaptive methods: Adam's bias-corrected running mean of squared gradients
            (:func:`second_moment_of`). If None, the mean over the batches of the squared gradient of each: what v̂
            tends to at these parameters; give batches of the size that is trained with.
        tolerance: of the sharpness, relative.
        max_steps: Hessian products at most.
        generator: of the start vector; seed 0 if None.

    Raises:
        InputError: for an unknown method, a random loss, or a kernel that cannot be differentiated twice.
        JobError: if a Hessian product is not finite.

    Example:
        >>> net = nn.Linear(2, 1, bias=False)
        >>> found = curvature_rate(net, nn.MSELoss(), (torch.eye(2) * 2, torch.zeros(2, 1)))  # H = 4 I
        >>> round(found.rate, 6), round(found.sharpness, 6)
        (0.5, 4.0)
    """
    edge = stable_product(method, momentum)
    hessian = Hessian(model, loss, batches)
    operator: LinearOperator = hessian
    if method in ADAPTIVE:
        moment = mean_square_gradient(hessian.mean) if second_moment is None else second_moment
        operator = Congruent(hessian, (moment.clamp_min(0).sqrt() + eps).rsqrt())
    found = eigenpairs(operator, tolerance=tolerance, max_steps=min(max_steps, operator.size), generator=generator)
    sharpness = float(found.values[0])
    rate = edge / sharpness if sharpness > 0 else float("inf")
    return CurvatureRate(rate, sharpness, found.steps, float(found.residuals[0]))


def mean_square_gradient(mean: MeanLoss) -> Tensor:
    """E_b[g_b²] over the batches, shape (n,)."""
    return mean.average(lambda x, y: torch.cat([g.reshape(-1) for g in mean.batch_gradient(x, y)]).square())


def second_moment_of(optimizer: torch.optim.Optimizer, model: nn.Module) -> Tensor:
    """v̂ of a ``torch.optim`` Adam or RMSprop over a model's trainable parameters, bias-corrected, shape (n,).

    Raises:
        InputError: if a parameter has no second moment yet.
    """
    betas = {id(p): group.get("betas") for group in optimizer.param_groups for p in group["params"]}
    parts = []
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        state = optimizer.state.get(p, {})
        moment = state.get("exp_avg_sq", state.get("square_avg"))
        if moment is None:
            raise InputError(
                f"second_moment_of: {type(optimizer).__name__} has no second moment of {name}.",
                "Take a step first, or leave second_moment out.",
            )
        pair = betas[id(p)]
        correction = 1.0 if pair is None else 1 - pair[1] ** float(state["step"])
        parts.append((moment / correction).reshape(-1))
    return torch.cat(parts)
