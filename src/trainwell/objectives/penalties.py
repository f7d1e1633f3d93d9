"""The penalties that a recipe adds to the loss, by name.

``PENALTIES[name](strength)`` is a function (model, inputs, output, value) → strength · R, a scalar. Over the weights w,
W of ``objectives.named_weights`` (no biases, nothing of a norm), each weight flattened to a matrix (out, rest):

    l1                  Σ|w|
    l2                  ½ Σw²                              gradient λw, added to the loss's
    elastic_net         Σ|w| + ½ Σw²
    group_lasso         Σ √(rest) · ‖row‖                  whole units become zero
    orthogonality       ‖WᵀW − I‖²_F
    double_orthogonality  ‖WᵀW − I‖²_F + ‖WWᵀ − I‖²_F      twice the one before, up to a constant
    spectral_isometry   ‖WᵀW − I‖₂ = max |σ² − 1|          on W's shorter side
    spectral_norm       ½ σ_max²
    binary              Σ(1 − w²)²                         weights of ±1; 0 is a stationary point, not a minimum

and over the batch, of n samples with inputs x, outputs f and data loss ℓ:

    jacobian            ½ E‖∂f/∂x‖²_F                      estimated with one random projection
    jacobian_exact      the same, one backward pass an output
    input_gradient      E‖∂ℓ_i/∂x‖²                        double backpropagation
    activity            E f²                               mean over all outputs

Sums over weights, as in the papers: a strength belongs to a size of model. ``l2`` of strength λ is not decoupled decay:
an adaptive method divides its gradient λw by the running root of squares, so that weights with large gradients are
shrunk less, while AdamW's ``weight_decay`` shrinks all at the same relative rate; for plain SGD they are the same.
The Jacobian of a model whose norms are in training mode has terms between samples; they are included.
Sources: Zou & Hastie 2005; Yuan & Lin 2006, eq. 2 (group lasso, √(group size)); Bansal, Chen & Wang 2018,
arXiv:1810.09102; Yoshida & Miyato 2017, eq. 2, arXiv:1705.10941 (spectral norm); Hoffman et al. 2019, eq. 7,
arXiv:1908.02729 (Jacobian); Drucker & LeCun 1992 (input gradient); Loshchilov & Hutter 2019, arXiv:1711.05101 (decay).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trainwell.errors import InputError
from trainwell.objectives.elastic_net import elastic_net
from trainwell.objectives.jacobian_norm import squared_slopes
from trainwell.objectives.orthogonality import orthogonality_penalty
from trainwell.objectives.spectral import isometry_gap, largest_singular_value
from trainwell.objectives.weights import named_weights

Rule = Callable[[nn.Module, Any, Any, Tensor], Tensor]


@dataclass(frozen=True)
class Penalty:
    """strength · of(model, inputs, output, value).

    Args:
        name: a key of ``PENALTIES``.
        strength: factor, ≥ 0, in the unit of the loss over that of the penalty.
        of: the penalty at strength 1.
        needs_inputs: whether it differentiates by the inputs, which must then require a gradient.

    Raises:
        InputError: for a negative or non-finite strength.
    """

    name: str
    strength: float
    of: Rule
    needs_inputs: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.strength < float("inf"):
            raise InputError(f"{self.name}: the penalty's strength is {self.strength}.", "Give 0 or more.")

    def __call__(self, model: nn.Module, inputs: Any, output: Any, value: Tensor) -> Tensor:
        """The penalty; ``inputs`` is what ``output`` was computed from, ``value`` the mean loss of the batch."""
        return self.strength * self.of(model, inputs, output, value)


def binary_penalty(weight: Tensor) -> Tensor:
    """Σ(1 − w²)², a scalar: 0 exactly where every weight is ±1."""
    return (1 - weight.square()).square().sum()


def group_lasso(weight: Tensor) -> Tensor:
    """Σ √p · ‖w_r‖ over the rows r of (out, ...), p entries each; a row of zeros has gradient 0."""
    rows = weight.flatten(1)
    return rows.shape[1] ** 0.5 * torch.linalg.vector_norm(rows, dim=1).sum()


def input_gradient(inputs: Tensor, value: Tensor) -> Tensor:
    """Mean over the n samples of ‖∂ℓ_i/∂x_i‖², where ``value`` is the mean of ℓ_i; a scalar.

    Args:
        inputs: shape (n, ...), part of the graph of ``value``.
        value: scalar.
    """
    n = len(inputs)
    (gradient,) = torch.autograd.grad(value, inputs, create_graph=True)
    return n * gradient.square().sum()  # ∂value/∂x_i = (1/n) ∂ℓ_i/∂x_i


def _over_weights(of: Callable[[Tensor], Tensor]) -> Rule:
    def rule(model: nn.Module, inputs: Any, output: Any, value: Tensor) -> Tensor:
        return sum((of(weight) for weight in named_weights(model).values()), torch.zeros_like(value))

    return rule


def _over_slopes(projections: int | None) -> Rule:
    return lambda model, inputs, output, value: 0.5 * squared_slopes(output, inputs, projections=projections)


_RULES: dict[str, tuple[Rule, bool]] = {  # name → rule, whether it needs the inputs
    "l1": (_over_weights(lambda w: elastic_net([w], l1=1.0)), False),
    "l2": (_over_weights(lambda w: elastic_net([w], l2=0.5)), False),
    "elastic_net": (_over_weights(lambda w: elastic_net([w], l1=1.0, l2=0.5)), False),
    "group_lasso": (_over_weights(group_lasso), False),
    "orthogonality": (_over_weights(orthogonality_penalty), False),
    "double_orthogonality": (_over_weights(lambda w: orthogonality_penalty(w, double_sided=True)), False),
    "spectral_isometry": (_over_weights(isometry_gap), False),
    "spectral_norm": (_over_weights(lambda w: 0.5 * largest_singular_value(w).square()), False),
    "binary": (_over_weights(binary_penalty), False),
    "jacobian": (_over_slopes(1), True),
    "jacobian_exact": (_over_slopes(None), True),
    "input_gradient": (lambda model, inputs, output, value: input_gradient(inputs, value), True),
    "activity": (lambda model, inputs, output, value: output.square().mean(), False),
}


def _maker(name: str) -> Callable[[float], Penalty]:
    return lambda strength: Penalty(name, strength, *_RULES[name])


PENALTIES: dict[str, Callable[[float], Penalty]] = {name: _maker(name) for name in _RULES}
"""Name → maker of the penalty from its strength."""
