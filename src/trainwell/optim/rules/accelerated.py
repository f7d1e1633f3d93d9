"""Nesterov's accelerated gradient with its sequence t_k, or with the constant for strongly convex functions.

    x_{k+1} = y_k − η ∇f(y_k)
    y_{k+1} = x_{k+1} + β_k (x_{k+1} − x_k)

    sequence    β_k = (t_k − 1)/t_{k+1},  t_{k+1} = (1 + √(1 + 4 t_k²))/2,  t_0 = 1
    constant    β   = (√κ − 1)/(√κ + 1)

With η = 1/L on a convex L-smooth f the sequence gives f(x_k) − f* ≤ 2 L ‖x_0 − x*‖²/(k + 1)², the constant, on a
μ-strongly convex one with κ = L/μ, a factor 1 − 1/√κ a step. The parameters hold y, where the next gradient is taken;
x is in the state (``optimizer.state[p]["x"]``). Memory: 1 number a parameter. Cost: one gradient.
Source: deck M, "Nesterov's accelerated gradient methods"; Nesterov 1983; Nesterov 2004, §2.2; Beck & Teboulle 2009.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from trainwell.optim.rules.gradient_rule import GradientRule


class NesterovSequence(GradientRule):
    """Nesterov's original scheme.

    Args:
        params: parameters or groups.
        lr: η; 1/L.
        condition: κ ≥ 1 of a strongly convex function; None takes the sequence t_k.
        weight_decay: λ, coupled (λ y is added to the gradient).
        maximize: climb instead.

    Raises:
        ValueError: for κ < 1.
    """

    slots = ("x",)
    numbers: ClassVar[Mapping[str, float]] = {"step": 0, "t": 1.0, "beta": 0.0}

    def __init__(
        self,
        params: Any,
        lr: float = 0.1,
        condition: float | None = None,
        *,
        weight_decay: float = 0.0,
        maximize: bool = False,
    ) -> None:
        if condition is not None and not condition >= 1:
            raise ValueError(f"NesterovSequence: condition={condition} must be 1 or more: it is L/μ.")
        super().__init__(params, {"lr": lr, "condition": condition, "weight_decay": weight_decay, "maximize": maximize})

    def initial(self, group: dict[str, Any], slot: str, parameter: Tensor) -> Tensor:
        return parameter.clone(memory_format=torch.preserve_format)

    def advance(self, group: dict[str, Any], numbers: dict[str, float]) -> None:
        numbers["step"] += 1
        if group["condition"] is not None:
            root = group["condition"] ** 0.5
            numbers["beta"] = (root - 1) / (root + 1)
            return
        t = numbers["t"]
        numbers["t"] = (1 + (1 + 4 * t * t) ** 0.5) / 2
        numbers["beta"] = (t - 1) / numbers["t"]

    def update(
        self,
        group: dict[str, Any],
        numbers: Mapping[str, float],
        x: list[Tensor],
        g: list[Tensor],
        *slots: list[Tensor],
    ) -> None:
        (last,) = slots  # x_k; the parameters are y_k
        if group["weight_decay"]:
            torch._foreach_mul_(x, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(x, g, alpha=-group["lr"])  # x_{k+1}
        torch._foreach_sub_(last, x)  # x_k − x_{k+1}
        torch._foreach_mul_(last, numbers["beta"])
        torch._foreach_sub_(x, last)  # y_{k+1}
        torch._foreach_add_(last, x)  # x_{k+1} = y_{k+1} + β (x_k − x_{k+1})
