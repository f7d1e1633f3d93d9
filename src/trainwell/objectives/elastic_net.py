"""L1 and L2 penalties over weight matrices, and the proximal step of L1.

    λ₁ Σ|w| + λ₂ Σw²,    gradient λ₁ sign(w) + 2 λ₂ w

An optimizer's ``weight_decay`` λ adds λw, so λ₂ = λ/2 is the same step for SGD. Gradient steps on |w| never give exact
zeros; the proximal step does: sign(w) (|w| − t)₊. For orthonormal X, least squares with λ₁ has the solution
soft_threshold(Xᵀy, λ₁/2) and with λ₂ it has Xᵀy / (1 + λ₂).
Source: Zou & Hastie 2005; Tibshirani 1996; Hoerl & Kennard 1970.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from trainwell.errors import InputError


def elastic_net(parameters: Iterable[Tensor], *, l1: float = 0.0, l2: float = 0.0) -> Tensor:
    """λ₁ Σ|w| + λ₂ Σw² over the parameters of two dimensions or more, a scalar; biases and gains do not count.

    Args:
        parameters: such as ``model.parameters()``; without any matrix the penalty is 0.
        l1: λ₁ ≥ 0.
        l2: λ₂ ≥ 0.

    Raises:
        InputError: for a negative or non-finite factor.
    """
    for name, factor in (("l1", l1), ("l2", l2)):
        if not 0 <= factor < float("inf"):
            raise InputError(f"elastic_net: {name} is {factor}.", "Give 0 or more.")
    total = torch.zeros(())
    for weight in parameters:
        if weight.dim() >= 2:
            total = total.to(weight) + l1 * weight.abs().sum() + l2 * weight.square().sum()
    return total


def soft_threshold(weight: Tensor, threshold: float) -> Tensor:
    """argmin_u ½(u − w)² + t|u| = sign(w) (|w| − t)₊ for every entry, a new tensor.

    Example:
        >>> soft_threshold(torch.tensor([3.0, -1.0, 0.4, 0.1]), 0.5)
        tensor([ 2.5000, -0.5000,  0.0000,  0.0000])
    """
    return weight.sign() * (weight.abs() - threshold).clamp_min(0.0)
